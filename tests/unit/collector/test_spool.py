"""The spool on a real directory: durability, bound, recovery, cursors, failing disk."""

from __future__ import annotations

import asyncio
import json
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from collector_blocks import T0_NS, SteppedClock, block, numbers

from collector import segments
from collector.disk import OS_DISK
from collector.spool import READ_TRIES_MAX, Spool
from collector.spool_format import HEADER_BYTES, VERSION, encode_block
from collector.spool_small import BYTES_MAX
from plant.errors import SpoolError, SpoolFull
from plant.ports import SpoolCursor
from plant.site import SpoolSettings
from potwatt.board import Board

LIMIT = 200_000  # bytes of a file, above what the captured output of a test takes
USABLE = 8 * 2**20 - BYTES_MAX  # of SMALL, for readings
SMALL = SpoolSettings(max_mib=8, segment_mib=1, commit_ms=1)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory, self.board, self.clock = directory, Board(), SteppedClock()

    @asynccontextmanager
    async def spool(self, settings: SpoolSettings = SMALL, sinks: tuple[str, ...] = ("store",)) -> AsyncIterator[Spool]:
        spool = Spool(self.directory, settings, self.clock, self.board, sinks)
        await spool.open()
        try:
            yield spool
        finally:
            await spool.close()

    def told(self, part: str) -> str:
        return next((f"{h.state}: {h.detail}" for h in self.board.all() if h.part == part), "")

    def counted(self, name: str) -> float:
        return self.board.counters().get((name, ()), 0.0)

    def segment(self) -> Path:
        return max(self.directory.glob("*.seg"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "spool")


async def everything(spool: Spool, cursor: SpoolCursor | None = None) -> list[int]:
    at, found = cursor or spool.start, []
    while True:
        blocks, behind = await spool.read(at, 100)
        if not blocks:
            return found
        assert behind > at
        found += numbers(blocks)
        at = behind


async def fill(spool: Spool, appended: list[int]) -> None:
    while True:
        await spool.append([block(1000, first=len(appended))])
        appended += range(len(appended), len(appended) + 1000)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is a counter of the board
            await asyncio.sleep(0.01)


async def test_what_is_appended_is_read_in_order(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3), block(2, first=3)])
        await spool.append([block(1500, first=5)])
        assert await everything(spool) == list(range(1505))
        assert bench.counted("spool_frames_durable") == 1505


async def test_append_returns_only_when_a_killed_process_would_keep_it(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(7)])
        assert bench.segment().read_bytes()[HEADER_BYTES:] == encode_block(block(7))[HEADER_BYTES:]
        assert spool.durable.offset == bench.segment().stat().st_size


async def test_callers_share_a_sync(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    append = segments.SegmentWriter.append

    def counted(writer: segments.SegmentWriter, data: bytes) -> None:
        writes.append(len(data))
        append(writer, data)

    monkeypatch.setattr(segments.SegmentWriter, "append", counted)
    async with bench.spool(SpoolSettings(max_mib=8, commit_ms=20)) as spool:
        await asyncio.gather(*[spool.append([block(1, first=n)]) for n in range(200)])
        assert await everything(spool) == list(range(200))
    assert len(writes) < 10


async def test_nothing_to_append_takes_no_sync(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([])
        await spool.append([block(0)])
        assert spool.size_bytes == 0


async def test_reopened_it_goes_on_at_the_cursor(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        _, behind = await spool.read(spool.cursor("store"), 100)
        await spool.append([block(2, first=3)])
        await spool.commit("store", behind)
    async with bench.spool() as spool:
        await spool.append([block(2, first=5)])
        assert await everything(spool, spool.cursor("store")) == [3, 4, 5, 6]


async def test_torn_tail_is_cut(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    with bench.segment().open("ab") as file:
        file.write(encode_block(block(3, first=3))[:-1])
    async with bench.spool() as spool:
        await spool.append([block(1, first=9)])
        assert await everything(spool) == [0, 1, 2, 9]
    assert bench.counted("spool_torn_bytes") == len(encode_block(block(3, first=3))) - 1


@pytest.mark.parametrize("damaged", ["body", "header"])
async def test_rotten_block_is_stepped_over_and_told_once(bench: Bench, damaged: str) -> None:
    async with bench.spool() as spool:
        for n in (0, 3, 6):
            await spool.append([block(3, first=n)])
    size = len(encode_block(block(3)))
    data = bytearray(bench.segment().read_bytes())
    data[size + (HEADER_BYTES + 9 if damaged == "body" else 9)] ^= 0x55
    bench.segment().write_bytes(data)
    async with bench.spool() as spool:
        assert await everything(spool) == [0, 1, 2, 6, 7, 8]
        assert await everything(spool) == [0, 1, 2, 6, 7, 8]
    assert bench.counted("spool_rotten_bytes") == size
    lost = f"3 Frames from {T0_NS + 3 * 10**9} to {T0_NS + 5 * 10**9}" if damaged == "body" else "an unknown number of Frames"
    assert lost in bench.told("spool:rot")


async def test_segment_that_became_shorter_is_rot_and_ends_the_reading_of_it(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    first = bench.segment()
    async with bench.spool() as spool:
        await spool.append([block(3, first=3)])
        whole = first.read_bytes()
        first.write_bytes(whole[:-5])
        async with asyncio.timeout(10):
            assert await everything(spool) == [3, 4, 5]
    assert "shorter than what was written" in bench.told("spool:rot")


async def test_full_spool_takes_nothing_and_says_so_until_a_sink_catches_up(bench: Bench) -> None:
    async with bench.spool() as spool:
        appended: list[int] = []
        with pytest.raises(SpoolFull, match=r"sources hold; bring the store back or raise spool\.max_mib"):
            await fill(spool, appended)
        assert spool.size_bytes <= USABLE < spool.size_bytes + len(encode_block(block(1000)))
        assert bench.told("spool").startswith("down")
        assert await everything(spool) == appended
        await spool.commit("store", spool.durable)
        await spool.append([block(1000, first=len(appended))])
        await spool.report()
    assert bench.told("spool").startswith("ok")


async def test_waiting_records_count_towards_the_bound(bench: Bench) -> None:
    async with bench.spool() as spool:
        size = len(encode_block(block(1000)))
        offers = [spool.append([block(1000, first=1000 * n)]) for n in range(USABLE // size + 20)]
        outcomes = await asyncio.gather(*offers, return_exceptions=True)
        assert sum(isinstance(x, SpoolFull) for x in outcomes) == 20
        assert spool.size_bytes <= 8 * 2**20


async def test_segments_go_when_every_required_sink_has_passed(bench: Bench) -> None:
    async with bench.spool(sinks=("store", "copy")) as spool:
        for n in range(0, 200_000, 1000):
            await spool.append([block(1000, first=n)])
        count = len(list(bench.directory.glob("*.seg")))
        assert count > 3
        await spool.commit("store", spool.durable)
        assert len(list(bench.directory.glob("*.seg"))) == count
        await spool.commit("copy", spool.durable)
        assert len(list(bench.directory.glob("*.seg"))) == 1
        assert (await spool.backlog()).bytes == 0


async def test_cursor_of_the_sink_itself_is_written_down_at_the_end_alone(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        await spool.commit("store", spool.durable, "sink")
        assert spool.cursor("store") == spool.durable
        assert list(bench.directory.glob("*.cursor")) == []
        end = spool.durable
    assert [path.name for path in bench.directory.glob("*.cursor")] == ["store.cursor"]
    async with bench.spool() as spool:
        assert spool.cursor("store") == end


async def test_cursor_past_what_is_durable_is_a_bug(bench: Bench) -> None:
    async with bench.spool() as spool:
        with pytest.raises(AssertionError):
            await spool.commit("store", SpoolCursor(spool.durable.segment, 1))


async def test_cursors_that_fit_nothing_here_send_again_rather_than_leave_out(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    async with bench.spool() as spool:
        await spool.append([block(3, first=3)])
        first, last = spool.start, spool.durable
        assert spool.resolve(None) == first
        assert spool.resolve(SpoolCursor(1, 77)) == first
        assert spool.resolve(SpoolCursor(last.segment + 5, 0)) == first
        assert spool.resolve(SpoolCursor(first.segment, 10**9)) == SpoolCursor(last.segment, 0)
        assert spool.resolve(last) == last


async def test_wiped_directory_starts_above_every_old_number(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        kept = spool.durable
    for path in bench.directory.iterdir():
        path.unlink()
    bench.clock.t_ns += 60 * 10**9
    async with bench.spool() as spool:
        await spool.append([block(30)])
        assert spool.resolve(kept) == spool.start


async def test_damaged_cursor_file_is_set_aside_and_everything_is_sent_again(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        await spool.commit("store", spool.durable)
    (bench.directory / "store.cursor").write_text("{")
    async with bench.spool() as spool:
        assert await everything(spool, spool.cursor("store")) == [0, 1, 2]
        assert (bench.directory / "store.cursor.damaged").read_text() == "{"
        assert "set aside" in bench.told("spool:store:cursor")
        assert bench.board.counters()["spool_damaged_cursors", (("sink", "store"),)] == 1
        await spool.commit("store", spool.durable)
    async with bench.spool() as spool:
        assert await everything(spool, spool.cursor("store")) == []


@pytest.mark.parametrize("seal", ["kept", "of an earlier version"])
@pytest.mark.parametrize("moved_bytes", [-1, 1, 10_000_000])
async def test_cursor_with_a_wrong_offset_skips_nothing(bench: Bench, seal: str, moved_bytes: int) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        _, behind = await spool.read(spool.start, 1)
        await spool.append([block(3, first=3)])
        await spool.commit("store", behind)
    path = bench.directory / "store.cursor"
    found = json.loads(path.read_text()) | {"offset": behind.offset + moved_bytes}
    if seal != "kept":
        del found["crc"]
    path.write_text(json.dumps(found, separators=(",", ":")))
    async with bench.spool() as spool:
        assert await everything(spool, spool.cursor("store")) == [0, 1, 2, 3, 4, 5]
        assert "set aside" in bench.told("spool:store:cursor")


async def test_cursor_moved_to_another_record_does_not_pass_its_checksum(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(1)])
        _, first = await spool.read(spool.start, 1)
        await spool.append([block(1, first=1)])
        _, second = await spool.read(first, 1)
        await spool.append([block(1, first=2)])
        await spool.commit("store", first)
    path = bench.directory / "store.cursor"
    path.write_text(path.read_text().replace(f'"offset":{first.offset}', f'"offset":{second.offset}'))
    async with bench.spool() as spool:
        assert await everything(spool, spool.cursor("store")) == [0, 1, 2]


async def test_cursor_of_an_earlier_version_is_read(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(1)])
        _, behind = await spool.read(spool.start, 1)
        await spool.append([block(1, first=1)])
    (bench.directory / "store.cursor").write_text(f'{{"segment":{behind.segment},"offset":{behind.offset}}}')
    async with bench.spool() as spool:
        assert await everything(spool, spool.cursor("store")) == [1]


async def test_sinks_that_commit_at_once_leave_whole_cursors(bench: Bench) -> None:
    sinks = ("store", "mirror-a")
    async with bench.spool(sinks=sinks) as spool:
        for n in range(100):
            await spool.append([block(1, first=n)])
            await asyncio.gather(*[spool.commit(sink, spool.durable) for sink in sinks for _ in range(3)])
            assert {segments.load_cursor(OS_DISK, bench.directory, sink) for sink in sinks} == {spool.durable}


async def test_store_that_knows_later_segments_than_a_restored_directory_gets_all_that_is_new(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        later = SpoolCursor(spool.durable.segment + 1, 10)
    for n in (10, 20):  # killed before anything is forwarded
        bench.clock.t_ns += 10**9
        spool = Spool(bench.directory, SMALL, bench.clock, bench.board)
        await spool.open(later)
        if n == 10:
            await spool.append([block(5, first=10), block(5, first=15)])
        assert await everything(spool, spool.resolve(later)) == list(range(10, 20))
        await spool.close()


async def test_second_process_is_kept_out(bench: Bench) -> None:
    program = (
        "import sys, pathlib; from collector.segments import DirectoryLock; from plant.errors import SpoolError\n"
        "try: DirectoryLock(pathlib.Path(sys.argv[1]))\n"
        "except SpoolError as error: print(error)"
    )

    def other() -> str:
        root = Path(__file__).parents[3]
        return subprocess.run(
            [sys.executable, "-c", program, str(bench.directory)], capture_output=True, text=True, check=True, cwd=root
        ).stdout

    async with bench.spool():
        assert "another process holds it" in await asyncio.to_thread(other)
    assert await asyncio.to_thread(other) == ""


async def test_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="give potwatt a directory it may write to"):
        async with Bench(tmp_path / "file" / "spool").spool():
            pass


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Sets the kernel's limit on the size of a file: beyond it write fails with EFBIG, as a full disk fails with ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_failed_write_is_made_anew_in_a_new_segment(bench: Bench, file_limit: Callable[[int], None]) -> None:
    size = len(encode_block(block(1000)))
    async with bench.spool() as spool:
        await spool.append([block(1000)])
        file_limit(size + 100)  # the second record tears in the middle, but fits a segment of its own
        await spool.append([block(1000, first=1000)])
        assert bench.counted("spool_write_errors") == 1
        assert [path.stat().st_size for path in sorted(bench.directory.glob("*.seg"))] == [size, size]
        assert await everything(spool) == list(range(2000))


async def test_disk_that_stays_broken_holds_the_source_and_is_told(bench: Bench, file_limit: Callable[[int], None]) -> None:
    async with bench.spool() as spool:
        file_limit(LIMIT)
        offer = asyncio.create_task(spool.append([block(10_000)]))
        await until(lambda: bench.counted("spool_write_errors") >= 3)
        assert not offer.done()
        assert "File too large" in bench.told("spool")
        assert "nothing is taken until the disk writes" in bench.told("spool")
        file_limit(resource.RLIM_INFINITY)
        await offer
        assert await everything(spool) == list(range(10_000))


async def test_closing_on_a_broken_disk_does_not_claim_durability(bench: Bench, file_limit: Callable[[int], None]) -> None:
    async with bench.spool() as spool:
        file_limit(LIMIT)
        offer = asyncio.create_task(spool.append([block(10_000)]))
        await until(lambda: bench.counted("spool_write_errors") >= 1)
    with pytest.raises(SpoolError, match="closed before the disk took the records"):
        await offer


async def test_closed_spool_takes_nothing(bench: Bench) -> None:
    async with bench.spool() as spool:
        pass
    with pytest.raises(SpoolError, match="closed"):
        await spool.append([block(1)])


async def test_cancelled_caller_does_not_stop_the_others(bench: Bench) -> None:
    async with bench.spool(SpoolSettings(max_mib=8, commit_ms=30)) as spool:
        await spool.append([block(1)])
        offers = [asyncio.create_task(spool.append([block(1, first=n)])) for n in (1, 2)]
        await asyncio.sleep(0)
        offers[0].cancel()
        await offers[1]
        assert await everything(spool) == [0, 1, 2]


async def test_backlog_names_bytes_and_age_of_the_oldest_reading(bench: Bench) -> None:
    async with bench.spool() as spool:
        assert (await spool.backlog()).oldest_t_ns is None
        await spool.append([block(3)])
        await spool.append([block(3, first=3600)])
        bench.clock.t_ns = T0_NS + 2 * 3600 * 10**9
        backlog = await spool.report()
        assert (backlog.bytes, backlog.oldest_t_ns, backlog.age_h) == (spool.size_bytes, T0_NS, 2.0)
        assert "the oldest reading is 2.00 h old" in bench.told("spool")
        blocks, behind = await spool.read(spool.cursor("store"), 1)
        assert numbers(blocks) == [0, 1, 2]
        await spool.commit("store", behind)
        assert (await spool.backlog()).age_h == 1.0


async def test_backlog_whose_oldest_record_cannot_be_read_is_told_all_the_same(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        bench.segment().rename(bench.segment().with_suffix(".away"))
        backlog = await spool.report()
        assert (backlog.bytes, backlog.oldest_t_ns) == (spool.size_bytes, None)


async def test_wait_ends_with_the_next_durable_record(bench: Bench) -> None:
    async with bench.spool() as spool:
        waiter = asyncio.create_task(spool.wait_beyond(spool.durable))
        await asyncio.sleep(0.01)
        assert not waiter.done()
        await spool.append([block(1)])
        await asyncio.wait_for(waiter, 5)


async def test_unreadable_segment_is_an_error_with_its_path_and_in_the_end_a_loss(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    first = bench.segment()
    async with bench.spool() as spool:
        await spool.append([block(3, first=3)])
        first.rename(first.with_suffix(".away"))
        for _ in range(READ_TRIES_MAX - 1):
            with pytest.raises(SpoolError, match="No such file or directory; check the disk"):
                await spool.read(spool.start, 10)
        assert bench.counted("spool_rotten_bytes") == 0
        assert await everything(spool) == [3, 4, 5]
        assert bench.counted("spool_rotten_bytes") == len(encode_block(block(3)))
        assert f"given up after {READ_TRIES_MAX} tries" in bench.told("spool:rot")


async def test_what_a_failed_write_left_in_an_earlier_segment_is_cut_and_is_no_loss(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    with bench.segment().open("ab") as file:
        file.write(encode_block(block(3, first=3))[:-1])
    segments.segment_path(bench.directory, int(bench.segment().stem) + 1).write_bytes(encode_block(block(3, first=3)))
    async with bench.spool() as spool:
        assert await everything(spool) == [0, 1, 2, 3, 4, 5]
    assert bench.counted("spool_rotten_bytes") == 0


async def test_whole_last_record_that_does_not_fit_its_checksum_is_named_before_it_is_cut(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
        await spool.append([block(3, first=3)])
    data = bytearray(bench.segment().read_bytes())
    data[-1] ^= 0x55
    bench.segment().write_bytes(data)
    async with bench.spool() as spool:
        assert await everything(spool) == [0, 1, 2]
    assert f"3 Frames from {T0_NS + 3 * 10**9} to {T0_NS + 5 * 10**9} (UTC ns) are lost" in bench.told("spool:rot")


async def test_records_of_another_version_are_not_touched(bench: Bench) -> None:
    async with bench.spool() as spool:
        await spool.append([block(3)])
    written = bytearray(bench.segment().read_bytes())
    written[4:6] = struct.pack("<H", VERSION + 1)
    written[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack("<I", zlib.crc32(written[: HEADER_BYTES - 4]))
    segment = bench.segment()
    segment.write_bytes(written)
    for _ in range(2):
        with pytest.raises(SpoolError, match=f"records of version {VERSION + 1}, this program reads up to {VERSION}"):
            await Spool(bench.directory, SMALL, bench.clock, bench.board).open()
    assert segment.read_bytes() == written
