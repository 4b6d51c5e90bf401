"""What a scenario's file says is what the replay plays; what makes no sense is named by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time

import pytest

from ground.channel import Conditions
from ground.replay.scenario import STRATEGIES
from ground.replay.scenario_file import load
from onboard.errors import ConfigError
from onboard.limits import Limits
from tests.ground.replay.example import BUNDLE, ROOT, TEXT, scenario


def at(*parts):
    return datetime(2021, 3, *parts, tzinfo=UTC)


def line_of(text, part):
    (found,) = [n for n, line in enumerate(text.splitlines(), 1) if part in line]
    return found


def test_everything_is_read(tmp_path):
    read = scenario(tmp_path)
    assert (read.name, read.seed, read.satellite) == ("Three days", 7, "ΦSat-1")
    assert read.span == (at(15), at(18))
    assert read.tle.number == 46292
    assert read.power.off_in_eclipse
    assert read.power.off_daily == ((time(22), time(2)),)
    (mode,) = read.power.safe_modes
    assert mode.span == (at(16, 12), at(16, 18))
    assert mode.reason == "a star tracker was blinded"
    assert read.camera.max_off_nadir_deg == 30
    assert read.onboard.bundle == BUNDLE
    assert read.onboard.limits_over(Limits()).min_confidence == 0.3
    svalbard, inuvik = read.stations
    assert (svalbard.up_bps, svalbard.priority, inuvik.up_bps) == (9600, 2, 0)
    assert svalbard.channel == Conditions(frame_loss=0.02)
    assert inuvik.channel == Conditions(frame_loss=0.02, bit_error_rate=1e-6)
    (target,) = read.targets
    assert target.flood.at(at(15, 12)) == pytest.approx(0.1)
    assert target.flood.at(at(17, 23)) == pytest.approx(0.1)
    assert target.clouds == (0.0, 0.6)
    assert target.picture.recipe == {"seed": 11, "width": 256, "height": 256}
    assert target.span == read.span
    bolder, older = read.uplinks[::-1] if read.uplinks[0].kind == "bundle" else read.uplinks
    assert (bolder.command, bolder.arguments) == ("set-limit", {"name": "min_wet", "value": 0.01})
    assert (older.time, older.path, older.corrupted) == (at(16, 10), BUNDLE, True)
    assert read.strategies == STRATEGIES


def test_uplinks_come_in_order_of_time(tmp_path):
    times = [one.time for one in scenario(tmp_path).uplinks]
    assert times == sorted(times)


def edited(old, new):
    assert TEXT.count(old) >= 1, old
    return TEXT.replace(old, new, 1)


BAD = [
    # what is written, on which line it is faulted, and the words that name fault and cure
    (
        'name = "Three days"',
        'nane = "Three days"',
        "nane",
        "nane is not known here; did you mean",
    ),
    ('name = "Three days"', "", None, "name is missing; add it"),
    ("seed = 7", "seeed = 7", "seeed", "seeed is not known here; did you mean seed?"),
    ("seed = 7", "walrus = 7", "walrus", "walrus is not known here; mend its name or take it out"),
    ("seed = 7", "seed = -7", "seed", "seed is -7; write a whole number in 0…"),
    ("days = 3", "days = 0", "days = ", "days is 0; write how many days"),
    ("days = 3", "days = 4000", "days = ", "days is 4000; write a number in 0…366"),
    ("days = 3", "days = nan", "days = ", "days is nan; write a number in 0…366"),
    (
        "start = 2021-03-15T00:00:00Z",
        "start = 2021-03-15T00:00:00",
        "start",
        "start is 2021-03-15 00:00:00 without a zone; write it as 2021-03-15T06:00:00Z",
    ),
    ("start = 2021-03-15", "start = 9999-12-31", "start =", "start is in 9999; write a time of"),
    ("start = 2021-03-15", "start = 0001-01-01", "start =", "start is in 1; write a time of"),
    ("start = 2021-03-15T00:00:00Z", "start = 4", "start =", "start is 4, no time"),
    ("priority = 2", "priorty = 2", "priorty", "priorty is not known here; did you mean priority?"),
    ("lat = 78.23", "lat = 178.23", "lat = 178", "lat is 178.23; write a number in -90…90"),
    ("lat = 78.23", 'lat = "78 N"', 'lat = "', "lat is '78 N'; write a number in -90…90"),
    ("lat = 78.23", "", '[[station]]\nname = "Sv', "lat is missing in [station]; add it"),
    ("down_bps = 1e6", "down_bps = 0", "down_bps = 0", "down_bps is 0: nothing would come down"),
    ("down_bps = 1e6", "down_bps = -5", "down_bps = -5", "down_bps is -5; write a number in 0…"),
    (
        'name = "Inuvik"',
        'name = "Svalbard"',
        None,
        "the name 'Svalbard' is taken; give",
    ),
    ("elevation_mask_deg = 5", "elevation_mask_deg = 90", "_mask_deg = 90", "would hear nothing"),
    ("frame_loss = 0.02", "frame_loss = 2", "frame_loss = 2", "frame_loss is 2; write a number"),
    (
        "frame_loss = 0.02",
        "frame_loss = 0.9\nburst = 2",
        "[channel]",
        "a loss of 0.9 needs bursts of at least 9.0 frames",
    ),
    (BUNDLE.as_posix(), "no/such/bundle", "bundle = ", "which is not there; paths start at"),
    ("seconds_per_megapixel = 4.0", "", "[onboard]", "seconds_per_megapixel is missing"),
    ("seconds_per_megapixel = 4.0", "seconds_per_megapixel = 0", "megapixel = 0", "is 0; write"),
    ("seconds_per_megapixel = 4.0", "bench = 'none.json'", "bench", "which is not there"),
    ("seconds_per_megapixel", "bench = 'a'\nseconds_per_megapixel", "bench", "keep one of them"),
    (
        "min_confidence = 0.3",
        "min_confidence = 3",
        "min_confidence",
        "cannot be 3.0; give",
    ),
    ("min_confidence = 0.3", "min_trust = 3", "min_trust", "there is no limit 'min_trust'"),
    ("quota_mb = 2", "quota_mb = 0.5", "quota_mb", "quota_mb is 0.5; write a whole number"),
    ("quota_mb = 2", 'engine = "warp"', "engine", "engine is 'warp'; choose one of tflite"),
    ('[["22:00", "02:00"]]', '[["22:00"]]', "off_daily", "write a list of pairs"),
    ('[["22:00", "02:00"]]', '[["25:00", "02:00"]]', "off_daily", "'25:00', no time of day"),
    ('[["22:00", "02:00"]]', '[["22:00+02:00", "02:00"]]', "off_daily", "no time of day"),
    ('[["22:00", "02:00"]]', '[["02:00", "02:00"]]', "off_daily", "a pair of equal times"),
    (
        '[["22:00", "02:00"]]',
        '[["00:00", "13:00"], ["12:00", "23:00"]]',
        "off_daily",
        "leaves no time with power",
    ),
    ("start = 1.5", "start = 3.5", "start = 3.5", "start is 2021-03-18T12:00:00Z, outside the"),
    ("hours = 6", "hours = 0", "hours = 0", "hours is 0; write how long it lasts"),
    ("clouds = [0.0, 0.6]", "clouds = [0.6, 0.0]", "clouds", "write the least first"),
    ("clouds = [0.0, 0.6]", "clouds = 7", "clouds", "has 7, no share; write a number in 0…1"),
    ("[0, 0.0], [1, 0.2]", "[1, 0.0], [1, 0.2]", "flood = ", "is not in order of time"),
    ("[1, 0.2]", "[1, 0.9]", "flood = ", "more than the recipe takes: flood_fraction is 0.9"),
    ("width = 256", "river_width_m = 0\nlake_fraction = 0\nflood_fraction = 0", "flood =", "water"),
    ("seed = 11", "seed = [11]", "[target.recipe]", "the recipe makes no sense: seed is [11]"),
    ("width = 256", "widht = 256", "widht", "widht is not known here; did you mean width?"),
    ("width = 256", "width = 1", "[target.recipe]", "width is 1; choose a value in 16…4096"),
    ("lon = 78.0", "lon = 78.0\ntruth = 'x.tif'", "truth =", "truth is of a file"),
    ("lon = 78.0", "lon = 78.0\nfile = 'x.tif'", '"plain"', "needs either a file or a table"),
    ('kind = "command"', 'kind = "prayer"', "prayer", "choose one of command, bundle, patch"),
    ('command = "set-limit"', 'command = "sing"', "sing", "choose one of set-limit, set-area"),
    ("value = 0.01 }", "value = 0.01, more = 1 }", "command = ", "set-limit"),
    ("time = 1\n", "time = 2021-03-20T00:00:00Z\n", "time = 2021-03-20", "outside the scenario"),
    ("corrupted = true", "corrupted = 1", "corrupted", "corrupted is 1; write true or false"),
    ("seed = 7", 'strategies = ["hope"]', "strategies", "has 'hope'; choose from raw, lossless"),
]


@pytest.mark.parametrize(("old", "new", "where", "fault"), BAD, ids=[b[1][:30] for b in BAD])
def test_what_makes_no_sense_is_one_line_with_its_line(tmp_path, old, new, where, fault):
    text = edited(old, new)
    with pytest.raises(ConfigError) as caught:
        scenario(tmp_path, text)
    said = str(caught.value)
    assert "\n" not in said
    assert fault in said
    path, _, rest = said.partition("three.toml")
    assert path == f"{tmp_path}/"
    if isinstance(where, str):
        # On the line of the words, or of the header of the table that lacks something.
        line = 1 + text[: text.index(where)].count("\n")
        assert rest.startswith(f":{line}: "), said


def test_the_line_of_a_second_station(tmp_path):
    text = edited("lon = -133.55", "lon = -1133.55")
    with pytest.raises(ConfigError, match=rf"toml:{line_of(text, '-1133.55')}: lon is -1133"):
        scenario(tmp_path, text)


@pytest.mark.parametrize("kind", ["station", "target"])
def test_a_scenario_needs_stations_and_something_to_take(tmp_path, kind):
    start = TEXT.index(f"[[{kind}]]")
    end = TEXT.index("[[target]]" if kind == "station" else "[[uplink]]")
    with pytest.raises(ConfigError, match="add at least one"):
        scenario(tmp_path, TEXT[:start] + TEXT[end:])


def test_no_toml_and_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"three\.toml: is not TOML .*line 1"):
        scenario(tmp_path, "name = \n")

    with pytest.raises(
        ConfigError, match=r"none\.toml: cannot be read .* a TOML file of a scenario"
    ):
        load(tmp_path / "none.toml")


FIRST = "1 46292U 20061W   21073.15035660  .00000684  00000-0  45489-4 0  9993"
SECOND = "2 46292  97.4953 148.5306 0004209  39.0632 321.0901 15.10390241 28942"


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (FIRST[:-1] + "4", SECOND, "line 1 of the TLE ends with checksum 4, its characters give 3"),
        (FIRST.replace("21073", "21074"), SECOND, "line 1 .* checksum 3, its characters give 4"),
        (FIRST, SECOND.replace("15.1", "15.2"), "line 2 of the TLE ends with checksum 2"),
        (FIRST[:-2], SECOND, "line 1 of the TLE has 67 characters, not 69"),
        (FIRST, FIRST[:-1] + "4", "line 2 of the TLE is not laid out as one"),
        (FIRST.replace("  .00000684", "   0.000684"), SECOND, "line 1 .* not laid out"),
        (FIRST, SECOND.replace("46292", "46293")[:-1] + "3", "of satellite 46292, line 2 of 46293"),
    ],
)
def test_a_malformed_tle(tmp_path, first, second, fault):
    text = TEXT.replace(FIRST, "@1").replace(SECOND, "@2").replace("@1", first)
    with pytest.raises(ConfigError, match=rf"three\.toml:{line_of(text, 'tle = [')}: .*{fault}"):
        scenario(tmp_path, text.replace("@2", second))


@pytest.mark.parametrize("head", ["", "PHISAT-1\n"])
def test_a_tle_from_a_file(tmp_path, head):
    (tmp_path / "one.tle").write_text(f"{head}{FIRST}\n{SECOND}\n")
    start, end = TEXT.index("tle = ["), TEXT.index("[power]")
    text = TEXT[:start] + 'tle_file = "one.tle"\n' + TEXT[end:]
    assert scenario(tmp_path, text).tle == scenario(tmp_path).tle
    (tmp_path / "one.tle").write_text(f"{head}{FIRST}\n")
    with pytest.raises(ConfigError, match=r"one\.tle: the TLE has 1 lines|line 1 of the TLE"):
        scenario(tmp_path, text)


def test_times_of_a_benchmark(tmp_path):
    figures = [{"key": "segment_seconds", "engine": "tflite", "value": 24.0}]
    facts = {"processor": "a chip", "cores": "2"}
    (tmp_path / "bench.json").write_text(json.dumps({"facts": facts, "figures": figures}))
    text = edited("seconds_per_megapixel = 4.0", 'bench = "bench.json"\nfactor = 5')
    read = scenario(tmp_path, text)
    assert read.onboard.seconds_per_megapixel == 10
    assert "a chip, 2 cores, times 5 for the flight computer" in read.onboard.timing
    with pytest.raises(ConfigError, match=r"bench\.json: has no figure segment_seconds of"):
        scenario(tmp_path, text.replace("factor = 5", 'factor = 5\nengine = "reference"'))


def test_the_benchmark_of_the_docs_is_readable(tmp_path):
    bench = ROOT / "docs" / "figures" / "bench.json"
    text = edited("seconds_per_megapixel = 4.0", f'bench = "{bench.as_posix()}"')
    assert 0 < scenario(tmp_path, text).onboard.seconds_per_megapixel < 60


def frame_of_file(tmp_path, more=""):
    for name in ("f.tif", "t.tif", "p.tif"):
        (tmp_path / name).touch()
    return scenario(
        tmp_path,
        f"""{TEXT}
[[frame]]
name = "a piece"
time = 2021-03-17T05:26:17Z
lat = 23.5
lon = 78
file = "f.tif"
truth = "t.tif"
permanent = "p.tif"
{more}
""",
    )


def test_a_frame_of_a_window_of_a_file(tmp_path):
    (one,) = frame_of_file(tmp_path, "window = [0, 256, 512, 384]\nturn = 5").frames
    assert (one.picture.file, one.picture.truth) == (tmp_path / "f.tif", tmp_path / "t.tif")
    assert (one.picture.window, one.picture.turn) == ((0, 256, 512, 384), 5)
    assert one.picture.recipe == {}
    (whole,) = frame_of_file(tmp_path).frames
    assert (whole.picture.window, whole.picture.turn) == (None, 0)


@pytest.mark.parametrize("window", ["[1, 2, 3]", "[0, 0, 0, 9]", "[0, -1, 9, 9]", "[0, 0.5, 9, 9]"])
def test_a_window_that_is_none(tmp_path, window):
    with pytest.raises(ConfigError, match=r"window is \[.*write \[row, column, height, width\]"):
        frame_of_file(tmp_path, f"window = {window}")


def test_a_target_of_a_file_has_no_flood_of_its_own(tmp_path):
    (tmp_path / "f.tif").touch()
    start, end = TEXT.index("[target.recipe]"), TEXT.index("[[uplink]]")
    text = TEXT[:start] + 'file = "f.tif"\n' + TEXT[end:]
    with pytest.raises(ConfigError, match="flood is of frames that are generated"):
        scenario(tmp_path, text)


def test_a_name_that_a_frame_takes_from_a_target(tmp_path):
    (tmp_path / "f.tif").touch()
    text = f"""{TEXT}
[[frame]]
name = "plain"
time = 1
lat = 23.5
lon = 78
file = "f.tif"
"""
    line = text.splitlines().index("[[frame]]") + 2
    with pytest.raises(ConfigError, match=rf"toml:{line}: the name 'plain' is taken; give every"):
        scenario(tmp_path, text)
