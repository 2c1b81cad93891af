"""The command line: what it writes, what it refuses, and how it says so."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pyxem_cnn.cli import app
from pyxem_cnn.data import grain_scan
from tests.fixtures_model import DEMO_SIZE, SILICON, demo_model  # noqa: F401

CIF = """data_si
_cell_length_a 5.431
_cell_length_b 5.431
_cell_length_c 5.431
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F d -3 m :1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Si Si 0 0 0
"""


def run(*arguments: object):
    """Return the result of a call; its ``text`` is the output in one line."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    result.text = " ".join(result.output.split())
    return result


def assert_refused(result, *words: str) -> None:
    """Check for exit code 1 and one message without traceback."""
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert result.output.count("Error:") == 1
    for word in words:
        assert word in result.text


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory):
    """The demo scan in small, its path and truth."""
    path = tmp_path_factory.mktemp("scan") / "scan.hspy"
    _, truth = grain_scan(path, shape=(DEMO_SIZE, DEMO_SIZE), seed=0, n_grains=2)
    return path, truth


def median_error(xmap, truth) -> float:
    from pyxem_cnn.maps.disorientation import errors_in_degrees

    degrees = errors_in_degrees(xmap, truth)
    return float(np.nanmedian(degrees))


def test_help_names_the_commands() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("demo", "map", "compare", "info", "train"):
        assert command in result.text


def test_demo_finds_the_truth(tmp_path: Path, demo_model: Path) -> None:  # noqa: F811
    out = tmp_path / "demo"
    arguments = ("demo", "--output", out, "--model", demo_model, "--size", DEMO_SIZE)
    arguments = (*arguments, "--simulator", "kinematic")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    files = {path.name for path in out.iterdir()}
    figures = {"ipf.png", "ipf_truth.png", "scores.png", "errors.png", "comparison.png"}
    others = {"scan.zspy", "map.ang", "map.h5", "map_templates.h5", "truth.h5", "comparison.csv"}
    assert files == others | figures
    rows = [line for line in result.output.splitlines() if "inside grains" in line]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    assert [row[0].split(",")[0] for row in cells] == ["network", "templates"]
    _, n, median, within_2, within_5 = cells[0]
    assert float(median) < 1
    assert within_2 == within_5 == "100.0 %"
    assert 50 < int(n) < DEMO_SIZE**2
    # Templates 2 degrees apart.
    assert float(cells[1][2]) < 3
    assert "patterns/s" in result.text
    assert "times as fast" in result.text
    assert "Warning" not in result.output
    # Nothing is replaced unasked.
    before = (out / "map.h5").stat().st_mtime_ns
    assert_refused(run(*arguments), "exists already", "--overwrite")
    assert (out / "map.h5").stat().st_mtime_ns == before
    assert run(*arguments, "--overwrite").exit_code == 0
    assert (out / "map.h5").stat().st_mtime_ns > before


def test_demo_of_a_dynamical_scan(tmp_path: Path, demo_model: Path) -> None:  # noqa: F811
    arguments = ("demo", "-o", tmp_path / "demo", "--model", demo_model, "--size", 8)
    result = run(*arguments, "--resolution", 6)
    assert result.exit_code == 0, result.output
    assert "dynamical patterns" in result.text
    other = ("demo", "-o", tmp_path / "other", "--model", demo_model)
    assert_refused(run(*other, "--simulator", "blotch"), "simulator", "'bloch'")
    assert_refused(run(*other, "--resolution", 0), "resolution: got 0", "degrees")
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def maps(scan, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of the true map, and of one with 30 points turned."""
    from orix.quaternion import Rotation

    from pyxem_cnn.maps.files.export import save_crystal_map

    _, truth = scan
    folder = tmp_path_factory.mktemp("maps")
    turned = truth.deepcopy()
    indexed = np.flatnonzero(truth.phase_id >= 0)[:30]
    quaternions = turned.rotations.data.reshape(-1, 4).copy()
    twist = Rotation.from_axes_angles([0, 0, 1], 20, degrees=True)
    quaternions[indexed] = (Rotation(quaternions[indexed]) * twist).data
    turned._rotations = Rotation(quaternions)
    paths = folder / "truth.h5", folder / "turned.h5"
    for one, path in zip((truth, turned), paths, strict=True):
        save_crystal_map(one, path)
    return paths


class TestCompare:
    def test_summary_figure_and_table(self, maps, tmp_path: Path) -> None:
        truth, turned = maps
        out = tmp_path / "comparison"
        result = run("compare", turned, truth, "--truth", truth, "-o", out)
        assert result.exit_code == 0, result.output
        # "truth" is what the third map is called.
        assert "a and b at" in result.text
        n = DEMO_SIZE**2
        table = (tmp_path / "comparison.csv").read_text()
        assert sum(not line.startswith("#") for line in table.splitlines()) == n + 1
        assert (tmp_path / "comparison.png").stat().st_size > 10_000
        assert_refused(run("compare", turned, truth, "-o", out), "exists already", "--overwrite")

    @pytest.mark.parametrize("output", ["gamma_0.5", "gamma_0.5.png", "gamma_0.5.CSV"])
    def test_names_with_dots(self, output: str) -> None:
        from pyxem_cnn.cli.compare import _written

        assert [path.name for path in _written(Path("a.b") / output)] == [
            "gamma_0.5.png",
            "gamma_0.5.csv",
        ]

    def test_tolerance(self, maps) -> None:
        strict = run("compare", *maps)
        lax = run("compare", *maps, "--tolerance", 25)
        assert strict.exit_code == lax.exit_code == 0
        assert "unexplained" in strict.text or "neighbour" in strict.text
        assert "unexplained" not in lax.text

    def test_what_a_foreign_file_does_not_say(self, maps, tmp_path: Path) -> None:
        truth, _ = maps
        cif = tmp_path / "si.cif"
        cif.write_text(CIF)
        same = run("compare", truth, truth)
        assert "100.0 %" in same.text
        # The same angles in a frame with y down are other orientations.
        other = run("compare", truth, truth, "--frame", "image")
        assert other.exit_code == 0, other.output
        assert "100.0 %" not in other.text
        assert_refused(run("compare", truth, truth, "--frame", "lba"), "frame", "'lab'")
        twins = run("compare", truth, truth, "--voltage", 200, "--cif", cif)
        assert twins.exit_code == 0, twins.output
        assert "modulo twins" in twins.text
        cropped = run("compare", truth, truth, "--origin", 1000, 0)
        assert_refused(cropped, "x 1000 to 1055")

    def test_missing_file(self, maps, tmp_path: Path) -> None:
        assert_refused(run("compare", maps[0], tmp_path / "none.h5"), "none.h5")


def test_demo_counts_vacuum_as_wrong_and_keeps_groups_apart() -> None:
    from pyxem_cnn.cli.demo import _error_table
    from tests.fixtures_model import crystal_map

    rng = np.random.default_rng(0)
    truth = crystal_map((2, 4), [SILICON], rng, special=False)
    xmap = truth.deepcopy()
    truth.prop["boundary"] = np.array([0, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    truth[0, 0].phase_id = -1
    drawn = _error_table({"network": xmap}, truth)
    cells = [list(map(str, column._cells)) for column in drawn.columns]
    assert cells[1] == ["6", "1", "7", "8"]
    assert cells[3] == ["100.0 %", "100.0 %", "100.0 %", "87.5 %"]


@pytest.mark.parametrize("suffix", [".ang", ".h5"])
def test_map_gives_what_the_method_gives(tmp_path, scan, demo_model, suffix) -> None:  # noqa: F811
    from orix import io

    path, truth = scan
    out = tmp_path / f"map{suffix}"
    result = run("map", path, demo_model, "-o", out, "--n-best", 2, "--figures")
    assert result.exit_code == 0, result.output
    loaded = io.load(out)
    assert loaded.shape == (DEMO_SIZE, DEMO_SIZE)
    assert median_error(loaded, truth) < 1
    assert loaded.rotations_per_point == (2 if suffix == ".h5" else 1)
    for name in ("ipf", "scores", "reliability"):
        assert (tmp_path / f"map_{name}.png").stat().st_size > 1000
        assert f"map_{name}.png" in result.text
    assert "144 patterns" in result.text


def test_neighbours_choose(tmp_path, scan, demo_model) -> None:  # noqa: F811
    from orix import io

    options = ("map", scan[0], demo_model, "-o", tmp_path / "map.h5", "--n-best", 3, "--neighbours")
    result = run(*options)
    assert result.exit_code == 0, result.output
    loaded = io.load(tmp_path / "map.h5")
    assert {"neighbour_probability", "chosen_rank"} <= set(loaded.prop)
    assert median_error(loaded, scan[1]) < 1


def test_twins_are_listed(tmp_path, scan, demo_model) -> None:  # noqa: F811
    from orix import io

    options = ("map", scan[0], demo_model, "-o", tmp_path / "map.h5", "--n-best", 2, "--twins")
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert "half a turn about a zone axis" in result.text
    loaded = io.load(tmp_path / "map.h5")
    assert loaded.prop["twin_axis"].shape == (DEMO_SIZE**2, 2, 3)
    best = loaded.prop["scores"][loaded.is_indexed, 0]
    assert (loaded.prop["score_with_twins"][loaded.is_indexed] >= best).all()


def test_plain_signals_flips_and_numbers_from_options(tmp_path, scan, demo_model) -> None:  # noqa: F811
    import hyperspy.api as hs
    from orix import io

    path, truth = scan
    good = hs.load(path)
    bare = hs.signals.Signal2D(good.data[:, :, ::-1].copy())  # upside down, no calibration
    bare.save(tmp_path / "bare.hspy")
    out = tmp_path / "map.h5"
    refused = run("map", tmp_path / "bare.hspy", demo_model, "-o", out)
    assert_refused(refused, "not calibrated")
    assert not out.exists()
    numbers = ["--scale", 0.02, "--beam-energy", 200, "--center", 64.37, 127 - 62.81]
    upright = run("map", tmp_path / "bare.hspy", demo_model, "-o", out, *numbers)
    assert upright.exit_code == 0, upright.output
    assert median_error(io.load(out), truth) > 5
    result = run("map", tmp_path / "bare.hspy", demo_model, "-o", out, *numbers, "--flip-y")
    assert_refused(result, "exists already")
    result = run(
        "map", tmp_path / "bare.hspy", demo_model, "-o", out, *numbers, "--flip-y", "--overwrite"
    )
    assert result.exit_code == 0, result.output
    assert median_error(io.load(out), truth) < 1
    found = run(
        *("map", tmp_path / "bare.hspy", demo_model, "-o", out, "--scale", 0.02, "--flip-y"),
        *("--find-center", "--overwrite"),
    )
    assert found.exit_code == 0, found.output
    assert "direct beam found at x = 64" in found.text
    assert median_error(io.load(out), truth) < 1


def test_masks_from_files(tmp_path, scan, demo_model) -> None:  # noqa: F811
    from orix import io

    path, _ = scan
    left_out = np.zeros((DEMO_SIZE, DEMO_SIZE), dtype=bool)
    left_out[2, 5] = True
    pixels = np.zeros((128, 128), dtype=bool)
    pixels[:3] = True
    np.save(tmp_path / "positions.npy", left_out)
    np.save(tmp_path / "pixels.npy", pixels)
    masks = [
        *("--navigation-mask", tmp_path / "positions.npy"),
        *("--signal-mask", tmp_path / "pixels.npy"),
    ]
    result = run("map", path, demo_model, "-o", tmp_path / "map.h5", *masks)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(io.load(tmp_path / "map.h5").is_in_data, ~left_out.ravel())


def map_refusals(tmp_path: Path) -> dict[str, tuple[list[object], tuple[str, ...]]]:
    """Return options of `map` that are refused, and words of the message."""
    np.save(tmp_path / "small.npy", np.zeros((3, 3), dtype=bool))
    np.save(tmp_path / "numbers.npy", np.zeros((DEMO_SIZE, DEMO_SIZE)))
    (tmp_path / "text.npy").write_text("no array")
    return {
        "suffix": (["-o", tmp_path / "map.txt"], (".ang", ".h5")),
        "folder": (["-o", tmp_path / "no" / "map.h5"], ("Make it first",)),
        "mask": (["--signal-mask", tmp_path / "none.npy"], ("no mask file",)),
        "text": (["--signal-mask", tmp_path / "text.npy"], ("text.npy", "no .npy file")),
        "shape": (["--navigation-mask", tmp_path / "small.npy"], ("(12, 12)",)),
        "dtype": (["--navigation-mask", tmp_path / "numbers.npy"], ("booleans",)),
        "voltage": (["--beam-energy", 300], ("300 kV", "200 kV")),
        "device": (["--device", "cuda:77"], ("cuda",)),
        "neighbours": (["--neighbours"], ("--n-best", "2 or more")),
        "twins": (["--twins"], ("--twins", "--n-best", "2 or more")),
    }


@pytest.mark.parametrize(
    "case",
    [
        "suffix",
        "folder",
        "mask",
        "text",
        "shape",
        "dtype",
        "voltage",
        "device",
        "neighbours",
        "twins",
    ],
)
def test_refusals_of_map(tmp_path, scan, demo_model, case) -> None:  # noqa: F811
    options, words = map_refusals(tmp_path)[case]
    before = set(tmp_path.iterdir())
    result = run("map", scan[0], demo_model, "-o", tmp_path / "map.h5", *options)
    assert_refused(result, *words)
    assert set(tmp_path.iterdir()) == before


def test_missing_scan_and_model(tmp_path, scan, demo_model) -> None:  # noqa: F811
    out = tmp_path / "map.h5"
    assert_refused(run("map", tmp_path / "no.hspy", demo_model, "-o", out), "no file", "no.hspy")
    assert_refused(run("map", scan[0], "no_such_model", "-o", out), "no_such_model")
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    assert_refused(run("map", scan[0], tmp_path / "broken.pt", "-o", out), "broken.pt")
    assert_refused(run("info", tmp_path / "broken.pt"), "broken.pt")


def test_scans_of_other_dimensions(tmp_path, demo_model) -> None:  # noqa: F811
    import hyperspy.api as hs

    hs.signals.Signal1D(np.zeros((3, 4, 5))).save(tmp_path / "lines.hspy")
    hs.signals.Signal2D(np.zeros((6, 6))).save(tmp_path / "one.hspy")
    hs.signals.Signal2D(np.zeros((2, 2, 2, 6, 6))).save(tmp_path / "stack.hspy")
    out = tmp_path / "map.h5"
    for name, words in (
        ("lines", ("two dimensions",)),
        ("one", ("0 navigation axes", "expected 1 or 2")),
        ("stack", ("3 navigation axes", "s.inav")),
    ):
        assert_refused(run("map", tmp_path / f"{name}.hspy", demo_model, "-o", out), *words)


def test_existing_figures_are_kept(tmp_path, scan, demo_model) -> None:  # noqa: F811
    (tmp_path / "map_ipf.png").write_text("precious")
    result = run("map", scan[0], demo_model, "-o", tmp_path / "map.h5", "--figures")
    assert_refused(result, "map_ipf.png", "--overwrite")
    assert (tmp_path / "map_ipf.png").read_text() == "precious"
    assert not (tmp_path / "map.h5").exists()


def test_debug_shows_the_traceback(tmp_path) -> None:
    result = run("info", tmp_path / "no.pt", "--debug")
    assert isinstance(result.exception, FileNotFoundError)


def test_info(demo_model) -> None:  # noqa: F811
    from pyxem_cnn.model import load_model

    result = run("info", demo_model)
    assert result.exit_code == 0, result.output
    for word in ("templates", "Si8", "F d -3 m:1", "5.431", "200 kV", "PolarGrid", "Laue group"):
        assert word in result.text
    assert load_model(demo_model).sha256 in result.output.replace("\n", "").replace(" ", "")


def test_train_from_a_cif_file(tmp_path, demo_model, monkeypatch) -> None:  # noqa: F811
    """Everything around the training; the training itself is tested elsewhere."""
    from pyxem_cnn import training
    from pyxem_cnn.model import load_model

    (tmp_path / "si.cif").write_text(CIF)
    monkeypatch.chdir(tmp_path)
    seen = {}

    def fake(phase, **options):
        seen.update(options, phase=phase)
        logging.getLogger("pyxem_cnn").info("after 32 of 77 patterns")
        return load_model(demo_model)

    monkeypatch.setattr(training, "train", fake)
    metrics = {"1000 electrons": {"median": 0.5, "within_2": 90.0, "within_5": 95.0, "n": 64}}
    monkeypatch.setattr(
        type(load_model(demo_model)), "metadata", property(lambda _: {"metrics": metrics})
    )
    options = ("--patterns", 77, "--seed", 3, "--checkpoint", "state.ckpt")
    options += ("--convergence", 2, "--precession", 0.5, "--thickness", 150, 900)
    options += ("--library", "si.h5", "--start", "other.pt", "--learning-rate", 0.001)
    options += ("--blocks", 5, "--hidden", 96, "--zone-axes", 4321)
    result = run("train", "--cif", "si.cif", "--voltage", 200, *options)
    assert result.exit_code == 0, result.output
    assert "Si8" in result.text  # what was read
    assert "192 symmetry operations" in result.text
    assert "1000 electrons" in result.text
    assert "si_200kV.pt" in result.text.replace(" ", "")
    assert load_model(tmp_path / "si_200kV.pt") == load_model(demo_model)
    assert seen["phase"].formula == "Si8"
    assert (seen["accelerating_voltage"], seen["name"]) == (200, "si_200kV")
    assert (seen["config"].n_patterns, seen["config"].seed) == (77, 3)
    assert (str(seen["checkpoint"]), str(seen["library"])) == ("state.ckpt", "si.h5")
    assert (seen["simulator"], seen["thicknesses"]) == ("bloch", (150, 900))
    assert (seen["convergence_angle"], seen["precession_angle"]) == (2, 0.5)
    assert (seen["start"], seen["config"].learning_rate) == ("other.pt", 0.001)
    config = seen["config"]
    assert (config.n_blocks, config.n_hidden, seen["n_zone_axes"]) == (5, 96, 4321)
    # This is no terminal that shows a bar: the log tells how far it is.
    assert not seen["show_progressbar"]
    assert "after 32 of 77 patterns" in result.text


def test_train_several_phases_and_precession_angles(tmp_path, demo_model, monkeypatch) -> None:  # noqa: F811
    from pyxem_cnn import training
    from pyxem_cnn.model import load_model

    for name in ("one", "two"):
        (tmp_path / f"{name}.cif").write_text(CIF)
    monkeypatch.chdir(tmp_path)
    seen = {}

    def fake(phase, **options):
        seen.update(options, phase=phase)
        return load_model(demo_model)

    monkeypatch.setattr(training, "train", fake)
    options = ("--cif", "one.cif", "--cif", "two.cif", "--precession", 0, "--precession", 0.6)
    result = run("train", "--voltage", 200, *options, "--no-compile")
    assert result.exit_code == 0, result.output
    assert len(seen["phase"]) == 2
    assert seen["precession_angle"] == [0, 0.6]
    assert not seen["config"].compiled
    assert (tmp_path / "one_two_200kV.pt").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "old.pt"], ("old.pt", "--overwrite")),
        (["-o", "no/model.pt"], ("Make it first",)),
        (["-o", "."], ("is a folder",)),
        (["--checkpoint", "no/state.ckpt"], ("state.ckpt", "Make it first")),
        (["--cif", "none.cif"], ("none.cif",)),
        (["--cif", "broken.cif"], ("broken.cif",)),
        (["--library", "no/si.h5"], ("si.h5", "Make it first")),
        (["--library", "broken.cif"], ("broken.cif", "Delete it, or pass another path")),
        (["--simulator", "blotch"], ("'blotch'", "'bloch', 'kinematic'")),
        (["--thickness", 900, 100], ("thicknesses", "angstrom")),
        (["--voltage", -200], ("voltage", "kV")),
    ],
)
def test_refusals_before_training(tmp_path, monkeypatch, options, words) -> None:
    from pyxem_cnn import training

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the training began")

    monkeypatch.setattr(training, "_sources", never)
    monkeypatch.setattr(training, "_fit", never)
    monkeypatch.chdir(tmp_path)
    for name, text in (("si.cif", CIF), ("broken.cif", "data_"), ("old.pt", "precious")):
        (tmp_path / name).write_text(text)
    result = run("train", "--cif", "si.cif", "--voltage", 200, *options)
    assert_refused(result, *words)
    assert (tmp_path / "old.pt").read_text() == "precious"


def test_our_warnings_are_shown_and_others_not(capsys) -> None:
    from pyxem_cnn.cli._console import messages
    from pyxem_cnn.crystal.structure import CrystalStructure

    with messages(debug=False):
        warnings.warn("not ours", FutureWarning, stacklevel=1)
        CrystalStructure.from_asymmetric_unit((5.431,) * 3 + (90,) * 3, 227, ["Si"], [[0] * 3])
    said = capsys.readouterr().err
    assert "origin" in said
    assert said.count("Warning:") == 1
    assert "not ours" not in said
