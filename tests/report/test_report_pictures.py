"""Pictures show the arrays that were stored, and no record without permission."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from report_fixture import BASE, IMAGES, audit_result

from seepage.core.results import Result
from seepage.report import html
from seepage.report.interval_figure import interval_figure
from seepage.report.pictures import array_path, data_uri, galleries
from seepage.report.png import png


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_its_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    read = np.rint(imread(io.BytesIO(png(pixels)), format="png") * 255).astype(np.uint8)
    expected = pixels[..., 0] if channels == 1 else pixels
    np.testing.assert_array_equal(read, expected)


def test_images_are_channel_first_and_thinned_where_large() -> None:
    image = np.zeros((3, 300, 150))
    image[0], image[2] = 1.0, 0.5
    prefix, _, data = data_uri(image).partition(",")
    assert prefix == "data:image/png;base64"
    read = imread(io.BytesIO(base64.b64decode(data)), format="png")
    assert read.shape == (100, 50, 3)
    np.testing.assert_allclose(read[0, 0], [1, 0, 0.5], atol=1 / 255)


def write(folder: Path, **arrays: NDArray[np.generic]) -> Result:
    path = array_path(folder, IMAGES)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)
    return replace(audit_result(), folder=folder)


def test_galleries_show_rows_in_order_and_eight_records_at_most(tmp_path: Path) -> None:
    result = write(
        tmp_path,
        defended=np.zeros((12, 1, 4, 4)),
        truth=np.ones((12, 1, 4, 4)),
        blurred=np.array(True),
    )
    (gallery,) = galleries(result)
    assert list(gallery.rows) == ["truth", "defended"]
    assert gallery.columns == 8
    assert gallery.blurred
    assert gallery.rows["truth"][0].uri != gallery.rows["defended"][0].uri
    assert "blurred; --include-records shows them" in html.render(result)


def test_arrays_without_a_blurred_mark_are_left_out(tmp_path: Path) -> None:
    result = write(tmp_path, truth=np.ones((2, 1, 4, 4)))
    page = html.render(result)
    assert "not marked as blurred" in page
    assert "data:image/png" not in page


@pytest.mark.parametrize(
    "truth",
    [np.array([{"a": 1}], dtype=object), np.ones(3), np.ones((2, 0)), np.ones((0, 1, 4, 4))],
)
def test_bad_arrays_are_named_not_drawn(tmp_path: Path, truth: NDArray[np.generic]) -> None:
    result = write(tmp_path, truth=truth, blurred=np.array(True))
    (gallery,) = galleries(result)
    assert gallery.problem
    assert not gallery.rows
    html.render(result)


def test_torn_file_is_named_not_fatal(tmp_path: Path) -> None:
    result = write(tmp_path, truth=np.ones((2, 1, 4, 4)), blurred=np.array(True))
    path = array_path(tmp_path, IMAGES)
    path.write_bytes(path.read_bytes()[:60])
    assert "can&#39;t be read" in html.render(result)


def test_no_folder_no_section(result: Result, tmp_path: Path) -> None:
    assert galleries(result) == []
    assert galleries(replace(result, folder=tmp_path)) == []
    assert "What the attacks recovered" not in html.render(result)


def test_reconstructions_are_drawn_on_the_scale_of_the_truth(tmp_path: Path) -> None:
    truth = np.array([[0.0, 10.0]])
    result = write(tmp_path, truth=truth, defended=truth * 3, blurred=np.array(False))
    (gallery,) = galleries(result)
    assert gallery.rows["truth"][0].profile == "M0 38V38H50V2H100"
    assert gallery.rows["defended"][0].profile == "M0 38V38H50V2H100"
    assert gallery.rows["defended"][0].truth == gallery.rows["truth"][0].profile
    assert not gallery.blurred


def test_interval_figure_keeps_order_and_marks_the_threshold() -> None:
    f = interval_figure(BASE, 0.05)
    assert (f.start, f.end) == ("0", "1")
    assert f.null < f.prior < (f.threshold or 0) < f.low < f.value < f.high
    assert f.threshold == pytest.approx(8 + 0.081 * 184, abs=0.06)
    assert f.bound is None
    assert "leak beyond 0.081" in f.description
    assert interval_figure(replace(BASE, gated=False), 0.05).threshold is None


def test_interval_figure_of_decibels_holds_every_mark() -> None:
    f = interval_figure(replace(BASE, value=24.0, ci=(22.0, 26.0), null=-3.0, prior=9.0), 0.05)
    assert 8 < f.null < f.prior < f.low < f.value < f.high < 192
    assert float(f.start) < -3 < 26 < float(f.end)
