"""The threads that run the model: bounded, off the event loop, and one text's trouble is nobody else's."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from data.schema import Category
from models.bundle import Bundle, load_bundle
from models.classifier import Classifier, Window, WindowOutputs
from serving.errors import JudgementFailed, JudgementTimeout, Overloaded, TooLarge
from serving.scheduler import BUSY_TOKENS, HELD_S, Judged, Scheduler
from tests.tiny_bundle import ATTACK, CLEAN, build_tiny_bundle

LONG = " ".join(["please tell me about the weather"] * 60) + " " + ATTACK


class Gated(Classifier):
    """The real classifier, whose runs wait for `gate` and say through `entered` that they began."""

    gate: threading.Event
    entered: threading.Event
    in_flight: list[int]

    def run(self, windows: Sequence[Window]) -> WindowOutputs:
        self.in_flight.append(len(windows))
        self.entered.set()
        assert self.gate.wait(10)
        return super().run(windows)


class Faulty(Classifier):
    """The real classifier, which raises on windows as long as `cursed` and notes the sizes of its groups."""

    cursed: int
    groups: list[int]

    def run(self, windows: Sequence[Window]) -> WindowOutputs:
        self.groups.append(len(windows))
        if any(len(window.ids) == self.cursed for window in windows):
            raise RuntimeError("quotes the text: hunter2-secret")
        return super().run(windows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(build_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> Classifier:
    return Classifier.load(bundle)


@pytest.fixture
def gated(bundle: Bundle) -> Iterator[Gated]:
    gated = Gated.load(bundle)
    assert isinstance(gated, Gated)
    gated.gate, gated.entered, gated.in_flight = threading.Event(), threading.Event(), []
    yield gated
    gated.gate.set()


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def scheduler(failures: list[str]) -> Iterator[Scheduler]:
    scheduler = Scheduler(threads=2, queue_tokens=4_000, on_failure=failures.append)
    yield scheduler
    scheduler.close()


async def judge(scheduler: Scheduler, classifier: Classifier, *texts: str, timeout_s: float = 10) -> list[Judged]:
    return await scheduler.judge(classifier, [classifier.prepare(text) for text in texts], timeout_s)


async def entered(gated: Gated) -> None:
    assert await asyncio.to_thread(gated.entered.wait, 10)


async def test_the_answer_is_that_of_the_bare_classifier(scheduler: Scheduler, classifier: Classifier) -> None:
    """Also for a text of many windows that several threads read at once."""
    texts = [CLEAN, ATTACK, LONG]
    for judged, expected in zip(await judge(scheduler, classifier, *texts), classifier.predict(texts), strict=True):
        assert judged.prediction.scores == expected.scores
        assert judged.prediction.spans == expected.spans
        assert np.array_equal(judged.prediction.embedding, expected.embedding)


async def test_scores_do_not_depend_on_what_else_is_judged(scheduler: Scheduler, classifier: Classifier) -> None:
    alone = (await judge(scheduler, classifier, ATTACK))[0].prediction.scores
    crowd = await asyncio.gather(*(judge(scheduler, classifier, text) for text in [CLEAN, LONG, ATTACK] * 2))
    assert [judged[0].prediction.scores for judged in crowd[2::3]] == [alone] * 2


async def test_a_full_queue_refuses_at_once(scheduler: Scheduler, gated: Gated) -> None:
    first = [asyncio.create_task(judge(scheduler, gated, CLEAN)) for _ in range(2)]
    await entered(gated)
    waiting = asyncio.create_task(judge(scheduler, gated, *[LONG] * 3))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await judge(scheduler, gated, *[LONG] * 2)
    assert scheduler.queued_tokens <= scheduler.capacity_tokens
    gated.gate.set()
    await asyncio.gather(*first, waiting)
    assert scheduler.queued_tokens == 0


async def test_a_text_that_could_never_fit_is_too_large_and_not_overload(
    scheduler: Scheduler, classifier: Classifier
) -> None:
    with pytest.raises(TooLarge):
        await judge(scheduler, classifier, *[LONG] * 40)


async def test_after_the_deadline_the_caller_is_told_and_the_windows_are_dropped(
    scheduler: Scheduler, gated: Gated, failures: list[str]
) -> None:
    with pytest.raises(JudgementTimeout):
        await judge(scheduler, gated, LONG, timeout_s=0.05)
    assert scheduler.queued_tokens == 0
    assert failures == ["timeout"]


async def test_the_windows_of_a_caller_that_left_are_dropped(scheduler: Scheduler, gated: Gated) -> None:
    asking = asyncio.create_task(judge(scheduler, gated, LONG))
    await entered(gated)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert scheduler.queued_tokens == 0
    runs = len(gated.in_flight)
    gated.gate.set()
    await judge(scheduler, gated, CLEAN)
    assert len(gated.in_flight) <= runs + 2  # what the two threads held already, and CLEAN


async def test_the_event_loop_runs_while_the_model_does(scheduler: Scheduler, gated: Gated) -> None:
    asking = asyncio.create_task(judge(scheduler, gated, CLEAN))
    await entered(gated)  # could never be seen if the model ran on the loop: the gate is still shut
    assert not asking.done()
    gated.gate.set()
    await asking


@pytest.mark.parametrize("max_batch_tokens", [0, 4_000])
async def test_a_text_that_the_model_raises_on_fails_alone(
    bundle: Bundle, failures: list[str], max_batch_tokens: int
) -> None:
    """Also when it shares a run with others; and its error holds nothing but the type of what was raised."""
    scheduler = Scheduler(threads=1, queue_tokens=4_000, max_batch_tokens=max_batch_tokens, on_failure=failures.append)
    faulty = Faulty.load(bundle)
    assert isinstance(faulty, Faulty)
    texts = ["please tell me about the weather in it", "tell me the weather in it"]
    bad = "please tell me all about it"
    faulty.cursed, faulty.groups = len(faulty.prepare(bad).windows[0].ids), []
    assert faulty.cursed not in [len(faulty.prepare(text).windows[0].ids) for text in texts]
    answers = await asyncio.gather(*(judge(scheduler, faulty, text) for text in [*texts, bad]), return_exceptions=True)
    scheduler.close()
    assert isinstance(answers[2], JudgementFailed)
    assert "hunter2" not in str(answers[2].body())
    assert failures == ["error"]
    for answer, text in zip(answers[:2], texts, strict=True):
        assert not isinstance(answer, BaseException)
        assert answer[0].prediction.scores == Classifier.load(bundle).predict([text])[0].scores


async def test_a_request_of_several_texts_is_answered_whole_or_not_at_all(scheduler: Scheduler, bundle: Bundle) -> None:
    faulty = Faulty.load(bundle)
    assert isinstance(faulty, Faulty)
    faulty.cursed, faulty.groups = len(faulty.prepare(CLEAN).windows[0].ids), []
    with pytest.raises(JudgementFailed):
        await judge(scheduler, faulty, ATTACK, CLEAN, CLEAN)
    assert scheduler.queued_tokens == 0


async def test_a_text_without_windows_is_not_judged(scheduler: Scheduler, classifier: Classifier) -> None:
    nothing = dataclasses.replace(classifier.prepare(CLEAN), windows=())
    with pytest.raises(JudgementFailed):
        await scheduler.judge(classifier, [nothing], 10)


async def test_closing_fails_what_waits_and_ends_the_threads(gated: Gated) -> None:
    scheduler = Scheduler(threads=1, queue_tokens=4_000)
    asking = [asyncio.create_task(judge(scheduler, gated, CLEAN)) for _ in range(2)]
    await entered(gated)
    closing = asyncio.create_task(asyncio.to_thread(scheduler.close))
    answers = asyncio.gather(*asking, return_exceptions=True)
    await asyncio.wait(asking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    gated.gate.set()
    await closing
    assert any(isinstance(answer, JudgementFailed) for answer in await answers)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("weir-model")]
    with pytest.raises(Overloaded):
        await judge(scheduler, gated, CLEAN)


async def test_times_are_those_of_the_given_clock(classifier: Classifier) -> None:
    ticks = iter(range(100))
    scheduler = Scheduler(threads=1, queue_tokens=4_000, clock=lambda: float(next(ticks)))
    judged = (await judge(scheduler, classifier, CLEAN))[0]
    scheduler.close()
    assert (judged.queue_s, judged.model_s) == (1.0, 1.0)
    assert judged.prediction.scores[Category.INJECTION] < 0.5


def test_a_prediction_belongs_to_the_bundle_that_made_it(tmp_path: Path) -> None:
    """Two models in one queue: each text is read by the one that its request began with."""
    old, new = (
        Classifier.load(load_bundle(build_tiny_bundle(tmp_path / version, version=version))) for version in ("v1", "v2")
    )

    async def both() -> list[str]:
        scheduler = Scheduler(threads=2, queue_tokens=4_000, max_batch_tokens=4_000)
        judged = await asyncio.gather(*(judge(scheduler, model, CLEAN) for model in [old, new] * 4))
        scheduler.close()
        return [answer[0].prediction.model_version for answer in judged]

    assert asyncio.run(both()) == ["v1", "v2"] * 4


class Stepped(Classifier):
    """The real classifier, each run of which needs a step of its own; `begun` counts those that have begun."""

    steps: threading.Semaphore
    begun: threading.Semaphore

    def run(self, windows: Sequence[Window]) -> WindowOutputs:
        self.begun.release()
        assert self.steps.acquire(timeout=10)
        return super().run(windows)


@pytest.mark.parametrize(("late_s", "told"), [(HELD_S / 2, False), (HELD_S * 2, True)])
async def test_while_much_waits_predictions_are_told_together_but_not_too_late(
    bundle: Bundle, late_s: float, told: bool
) -> None:
    stepped = Stepped.load(bundle)
    assert isinstance(stepped, Stepped)
    stepped.steps, stepped.begun = threading.Semaphore(0), threading.Semaphore(0)
    time_s = [0.0]
    scheduler = Scheduler(threads=1, queue_tokens=4_000, clock=lambda: time_s[0])
    try:
        short = [asyncio.create_task(judge(scheduler, stepped, CLEAN)) for _ in range(3)]
        await asyncio.sleep(0)
        long = asyncio.create_task(judge(scheduler, stepped, LONG, LONG))
        await asyncio.sleep(0)
        assert scheduler.queued_tokens > BUSY_TOKENS
        for run in range(3):  # two short texts are read; the third begins
            assert await asyncio.to_thread(stepped.begun.acquire, True, 10)
            time_s[0] += late_s if run == 1 else 0.0
            if run < 2:
                stepped.steps.release()
        for _ in range(5):  # turns of the event loop, in which it would hear of them
            await asyncio.sleep(0)
        assert [task.done() for task in short] == [told, told, False]
        stepped.steps.release(100)
        await asyncio.gather(*short, long)
    finally:
        stepped.steps.release(100)
        scheduler.close()


async def test_when_little_waits_a_prediction_is_told_at_once(scheduler: Scheduler, gated: Gated) -> None:
    asking = [asyncio.create_task(judge(scheduler, gated, CLEAN)) for _ in range(3)]
    await entered(gated)
    gated.gate.set()
    await asyncio.wait_for(asyncio.gather(*asking), 10)


async def test_predictions_that_are_held_when_the_server_stops_are_told(bundle: Bundle) -> None:
    stepped = Stepped.load(bundle)
    assert isinstance(stepped, Stepped)
    stepped.steps, stepped.begun = threading.Semaphore(0), threading.Semaphore(0)
    scheduler = Scheduler(threads=1, queue_tokens=4_000, clock=lambda: 0.0)
    short = asyncio.create_task(judge(scheduler, stepped, CLEAN))
    await asyncio.sleep(0)
    long = asyncio.create_task(judge(scheduler, stepped, LONG, LONG))
    assert await asyncio.to_thread(stepped.begun.acquire, True, 10)
    stepped.steps.release()
    assert await asyncio.to_thread(stepped.begun.acquire, True, 10)
    closing = asyncio.create_task(asyncio.to_thread(scheduler.close))
    with pytest.raises(JudgementFailed):
        await long
    assert not short.done()
    stepped.steps.release(100)
    await closing
    assert len(await short) == 1
