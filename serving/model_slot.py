"""Holds the one model that answers: verified, warm, self-tested, and bound to the policy.

A request takes `current` once and works with that snapshot, so a swap never changes a request half way. A new bundle
replaces the old one only after proving itself; when it fails, whatever was live stays live.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.bundle import Bundle, BundleError, load_bundle
from models.classifier import Classifier, ClassifierError
from models.registry import resolve
from serving.policy import BoundPolicy, Policy, PolicyError, bind

log = logging.getLogger("weir.model")


class SelfTestError(Exception):
    """A bundle answers prompts wrongly whose answers are known."""


@dataclass(frozen=True, slots=True)
class Live:
    """One model with the policy at its operating points. Immutable: a request keeps the one it began with."""

    bundle: Bundle
    classifier: Classifier
    policy: BoundPolicy

    @property
    def version(self) -> str:
        """The version that the manifest names."""
        return self.bundle.manifest.version


class ModelSlot:
    """The live model, or the reason why there is none.

    `load_classifier` turns a verified bundle into a running classifier; `on_load` is told `live` or `refused`.
    """

    def __init__(
        self,
        policy: Policy,
        load_classifier: Callable[[Bundle], Classifier],
        on_load: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._policy = policy
        self._load_classifier = load_classifier
        self._on_load = on_load
        self.current: Live | None = None
        self.problem: str | None = "no bundle has been loaded yet"

    def load(self, bundle: str, store: Path) -> bool:
        """Verify, warm and self-test a bundle, then make it live. Blocking.

        On failure `problem` says why in one line, what was live stays, and the answer is False.
        """
        try:
            live = self._prove(load_bundle(resolve(bundle, store)))
        except (BundleError, ClassifierError, PolicyError, SelfTestError) as error:
            self._refuse(bundle, str(error))
            return False
        except Exception as error:  # noqa: BLE001  a broken file may raise anything; the service must come up to say so
            self._refuse(bundle, f"{type(error).__name__} while loading")
            return False
        self.current, self.problem = live, None
        self._on_load("live")
        log.info("model is live", extra={"model_version": live.version})
        return True

    def _refuse(self, bundle: str, reason: str) -> None:
        self.problem = f"bundle {bundle!r}: {' '.join(reason.split())}"
        self._on_load("refused")
        log.error("bundle refused", extra={"reason": self.problem})

    def _prove(self, bundle: Bundle) -> Live:
        policy = bind(self._policy, bundle.manifest)
        classifier = self._load_classifier(bundle)
        warm(classifier, bundle.manifest.max_length)
        if failures := classifier.self_test():
            raise SelfTestError("; ".join(failures))
        return Live(bundle, classifier, policy)


def warm(classifier: Classifier, max_length: int) -> None:
    """Run texts of every order of length once, so that the first caller pays for no allocation."""
    words = 1
    while words <= max_length:
        classifier.predict(["word " * words])
        words *= 2
