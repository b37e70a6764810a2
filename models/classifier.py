"""From a text to a Prediction. Serving and evaluation both use this, so the number reported is the number served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from data.schema import Coverage, Prediction
from models import aggregate
from models.bundle import MODEL, TOKENIZER, Bundle, BundleError, Manifest
from models.clusters import CLUSTERS, NO_CLUSTERS, Clusters, ClustersError, read_clusters
from models.legibility import Legibility, legibility, worst
from models.normalize import MAIN, normalize
from models.windows import TokenizerError, Window, Windower

__all__ = ["Classifier", "ClassifierError", "Prepared", "Window", "WindowOutputs"]


class ClassifierError(Exception):
    """The model cannot judge: it does not run as asked or its output is unusable. Never holds user text."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text ready for the model. `tokens` counts the main view without special tokens, `scanned` those in a window.

    `windows` holds those of every view, the main one's first.
    """

    windows: tuple[Window, ...]
    tokens: int
    scanned: int
    changes: Mapping[str, int]
    legibility: Legibility

    @property
    def main_windows(self) -> int:
        """How many windows cover the text as its reader sees it."""
        return sum(window.view == MAIN for window in self.windows)

    @property
    def coverage(self) -> Coverage:
        """How much of the text the model will see, and how well it can read it."""
        return Coverage(
            tokens=self.tokens,
            scanned=self.scanned,
            windows=self.main_windows,
            readable=self.legibility.readable,
            foreign=self.legibility.foreign,
            unread_scripts=tuple(self.legibility.unread),
        )

    @property
    def cost(self) -> int:
        """How many tokens the model has to read, special ones and every view included."""
        return sum(len(window.ids) for window in self.windows)


@dataclass(frozen=True, slots=True)
class WindowOutputs:
    """What the model says of n windows: `logits` float32 [n, categories], `embeddings` float32 [n, D], unit length."""

    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]


class Classifier:
    """One loaded bundle. Immutable after `load`, so every method may be called from any thread."""

    def __init__(
        self,
        manifest: Manifest,
        windower: Windower,
        session: ort.InferenceSession,
        provider: str,
        max_batch_tokens: int,
        *,
        clusters: Clusters = NO_CLUSTERS,
    ) -> None:
        self.manifest = manifest
        self.provider = provider
        self.max_batch_tokens = max_batch_tokens
        self.clusters = clusters
        self._windower = windower
        self._session = session

    @classmethod
    def load(
        cls, bundle: Bundle, *, threads: int = 1, provider: str = "cpu", max_batch_tokens: int = 16_384
    ) -> Classifier:
        """Create the session on exactly the named provider, "cpu" or "cuda".

        `threads` are those of one run. On the CPU windows run one at a time whatever `max_batch_tokens` says:
        dynamic int8 quantisation takes its scale from the whole batch, and batching gains nothing there.
        Raises BundleError where files contradict the manifest, ClassifierError where the provider is not to be had.
        """
        manifest = bundle.manifest
        try:
            windower = Windower.load(bundle.read(TOKENIZER), max_length=manifest.max_length, stride=manifest.stride)
        except TokenizerError as error:
            raise BundleError(f"{bundle.directory / TOKENIZER}: {error}") from error
        session = _session(bundle.read(MODEL), threads, provider)
        _check_interface(session, manifest, bundle)
        return cls(
            manifest,
            windower,
            session,
            provider=provider,
            max_batch_tokens=0 if provider == "cpu" else max_batch_tokens,
            clusters=_clusters(bundle),
        )

    @property
    def version(self) -> str:
        """The bundle's version, on every Prediction."""
        return self.manifest.version

    def reading(self, scripts: Sequence[str]) -> Classifier:
        """The same model, taken to read these scripts."""
        manifest = replace(self.manifest, scripts=tuple(scripts))
        return Classifier(
            manifest, self._windower, self._session, self.provider, self.max_batch_tokens, clusters=self.clusters
        )

    def prepare(self, text: str) -> Prepared:
        """Normalise, tokenise and cut into windows. Runs no model; linear in the length of the text."""
        normalized = normalize(text)
        cuts = [self._windower.windows(view) for view in normalized.views]
        scripts = self.manifest.scripts
        return Prepared(
            windows=tuple(window for cut in cuts for window in cut.windows),
            tokens=cuts[0].tokens,
            scanned=cuts[0].tokens,
            changes=normalized.changes,
            legibility=worst(
                [legibility(view.text, cut.unknown, scripts) for view, cut in zip(normalized.views, cuts, strict=True)]
            ),
        )

    def run(self, windows: Sequence[Window]) -> WindowOutputs:
        """Run the model, windows of any texts together; rows in the order given.

        Blocks and releases the interpreter lock while the model computes. A row never depends on the others on the
        CPU, where each window runs alone and unpadded.
        """
        lengths = [len(window.ids) for window in windows]
        logits = np.empty((len(windows), len(self.manifest.labels)), dtype=np.float32)
        embeddings = np.empty((len(windows), self.manifest.embedding_size), dtype=np.float32)
        for rows in batches(lengths, self.max_batch_tokens):
            width = max(lengths[row] for row in rows)
            ids = np.full((len(rows), width), self._windower.pad_id, dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : lengths[row]] = windows[row].ids
                mask[place, : lengths[row]] = 1
            feed = {"input_ids": ids, "attention_mask": mask}
            logits[rows], embeddings[rows] = self._session.run(["logits", "embedding"], feed)
        return WindowOutputs(logits, embeddings)

    def finish(self, prepared: Prepared, outputs: WindowOutputs) -> Prediction:
        """Aggregate a text's windows into its Prediction; raises ClassifierError rather than pass on a non-number."""
        logits = outputs.logits
        if len(logits) != len(prepared.windows):
            raise ClassifierError(f"{len(logits)} rows of logits for {len(prepared.windows)} windows")
        if not (np.isfinite(logits).all() and np.isfinite(outputs.embeddings).all()):
            raise ClassifierError(f"model {self.version} answered with a non-finite number")
        lowered = aggregate.lowered(logits, [window.view for window in prepared.windows], self.manifest)
        scores = aggregate.scores(lowered, self.manifest)
        highest = dict(zip(self.manifest.labels, lowered.argmax(axis=0).tolist(), strict=True))
        embedding = outputs.embeddings[highest[max(scores, key=scores.__getitem__)]].copy()
        return Prediction(
            scores=scores,
            coverage=prepared.coverage,
            spans={category: prepared.windows[row].span for category, row in highest.items()},
            embedding=embedding,
            changes=prepared.changes,
            model_version=self.version,
            cluster=self.clusters.nearest(embedding),
        )

    def predict(self, texts: Iterable[str]) -> list[Prediction]:
        """Prepare, run and finish each text in order."""
        prepared = [self.prepare(text) for text in texts]
        outputs = self.run([window for item in prepared for window in item.windows])
        predictions = []
        start = 0
        for item in prepared:
            end = start + len(item.windows)
            rows = WindowOutputs(outputs.logits[start:end], outputs.embeddings[start:end])
            predictions.append(self.finish(item, rows))
            start = end
        return predictions

    def self_test(self) -> list[str]:
        """Each prompt of the manifest that the model judges wrongly, in words; empty when it is fit to serve."""
        point = self.manifest.self_test_point
        thresholds = self.manifest.operating_points[point]
        failures = []
        for number, test in enumerate(self.manifest.self_test):
            scores = self.predict([test.text])[0].scores
            flagged = [category for category, score in scores.items() if score >= thresholds[category]]
            if test.category is None and flagged:
                found = ", ".join(f"{c.value} {scores[c]:.3f} >= {thresholds[c]:.3f}" for c in flagged)
                failures.append(f"self_test[{number}] is known good, but at {point}: {found}")
            elif test.category is not None and test.category not in flagged:
                score, threshold = scores[test.category], thresholds[test.category]
                failures.append(
                    f"self_test[{number}] is known {test.category.value}, but at {point}: {score:.3f} < {threshold:.3f}"
                )
        return failures


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Rows grouped by length, each group at most `max_tokens` when padded; with 0 every row is its own group."""
    if max_tokens == 0:
        return [[row] for row in range(len(lengths))]
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[row] <= max_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


_PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def _clusters(bundle: Bundle) -> Clusters:
    if CLUSTERS not in bundle.manifest.files:
        return NO_CLUSTERS
    try:
        return read_clusters(bundle.read(CLUSTERS), bundle.manifest.embedding_size)
    except ClustersError as error:
        raise BundleError(f"{bundle.directory / CLUSTERS}: {error}") from error


def _session(model: bytes, threads: int, provider: str) -> ort.InferenceSession:
    """A session on one provider. onnxruntime falls back to the CPU in silence, so what it made is looked at."""
    name = _PROVIDERS.get(provider)
    if name is None:
        raise ClassifierError(f"unknown provider {provider!r}; there are {', '.join(_PROVIDERS)}")
    if name not in ort.get_available_providers():
        raise ClassifierError(
            f"provider {provider!r} needs {name}, this onnxruntime has {ort.get_available_providers()}"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin between runs halve the speed of whatever else wants the core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=[name])
    except Exception as error:  # onnxruntime's own exceptions share no base but Exception
        raise ClassifierError(f"onnxruntime cannot load the model: {error}") from error
    if session.get_providers()[0] != name:
        raise ClassifierError(f"asked for {name}, onnxruntime fell back to {session.get_providers()}")
    return session


def _check_interface(session: ort.InferenceSession, manifest: Manifest, bundle: Bundle) -> None:
    """Raise BundleError unless the graph has the inputs and outputs that the manifest implies."""
    path = bundle.directory / MODEL
    inputs = {node.name: node.type for node in session.get_inputs()}
    if inputs != {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}:
        raise BundleError(f"{path}: inputs are {json.dumps(inputs)}")
    widths = {node.name: node.shape[-1] for node in session.get_outputs()}
    expected = {"logits": len(manifest.labels), "embedding": manifest.embedding_size}
    for name, width in expected.items():
        if widths.get(name) not in (width, None) and not isinstance(widths.get(name), str):
            raise BundleError(f"{path}: output {name} has width {widths[name]}, the manifest says {width}")
        if name not in widths:
            raise BundleError(f"{path}: no output {name}")
