"""The camera: never outside the canvas, never jerking, always the same for one seed."""

import itertools

import pytest

from app.providers.kenburns.camera import move

FRAMES = 180


def views(seed, width=1600, height=1600, ratio=16 / 9, seconds=6.0):
    way = move(width, height, ratio, seconds, seed)
    return [way.view(number / (FRAMES - 1)) for number in range(FRAMES)]


@pytest.mark.parametrize("size", [(1600, 1600), (1600, 900), (1600, 1200), (900, 1600)])
@pytest.mark.parametrize("seed", range(12))
def test_it_sees_nothing_outside_the_canvas_and_keeps_the_ratio(seed, size):
    for left, top, right, bottom in views(seed, *size):
        assert -1e-9 <= left < right <= size[0] + 1e-9
        assert -1e-9 <= top < bottom <= size[1]
        assert (right - left) / (bottom - top) == pytest.approx(16 / 9, rel=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_it_starts_and_ends_gently_and_never_jerks(seed):
    lefts, tops, *_ = zip(*views(seed), strict=True)
    for edge in (lefts, tops):
        speeds = [after - before for before, after in itertools.pairwise(edge)]
        changes = [abs(after - before) for before, after in itertools.pairwise(speeds)]
        assert max(abs(speed) for speed in speeds) < 8
        assert max(changes) < 0.2
        assert abs(speeds[0]) < 0.1
        assert abs(speeds[-1]) < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_it_comes_nearer_or_goes_back(seed):
    first, *_, last = (right - left for left, _, right, _ in views(seed))

    assert max(first, last) / min(first, last) == pytest.approx(1.188)


def test_a_seed_decides_the_way():
    assert views(5) == views(5)
    assert len({views(seed)[0] for seed in range(6)}) > 3
