"""The pictures of the dashboard in the documentation, taken anew: of the search of examples/digits.yaml.

python -m tests.browser.pictures                    # runs the search on a service of its own: a few minutes
python -m tests.browser.pictures --url URL --job ID # takes them of a job that has ended
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from tests.conftest import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "images"
ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
DRAWN: Final = (
    "() => !document.querySelector('[aria-busy=true]') && document.querySelector('canvas') !== null"
)
CALM_MS: Final = 1500  # charts that are not urgent are drawn when the page has been calm


def _nothing(_: Page) -> None:
    return None


def _open_panel(page: Page) -> None:
    """Classes and histograms of the trial's panel, and the comparison beside them."""
    for title in ("Class by class", "Histograms of weights and activations"):
        page.click(f"summary:has-text('{title}')")
    page.wait_for_selector("#tensor .canvas")
    page.evaluate(
        "() => { const panel = document.querySelector('#trial');"
        " const title = [...panel.querySelectorAll('summary')].find(item => item.textContent === 'Class by class');"
        " document.querySelector('#compare').scrollIntoView();"
        " panel.scrollTop = title.getBoundingClientRect().top - panel.getBoundingClientRect().top + panel.scrollTop; }"
    )
    page.wait_for_selector("#tensor canvas")


@dataclass(frozen=True)
class Picture:
    """A page of a job, in a window of some size; `prepare` is called before the picture is taken."""

    path: str
    width: int
    height: int
    prepare: Callable[[Page], None] = _nothing


#: Name of the file -> what it shows; `{job}`, `{best}`, `{other}` are of the search.
PICTURES: Final = {
    "dashboard": Picture("/#/jobs/{job}?budget=1000", 1600, 1250),
    "dashboard-trial": Picture(
        "/#/jobs/{job}?tab=compare&trial={best}&vs={best},{other}", 1600, 1100, _open_panel
    ),
    "dashboard-learned": Picture("/#/jobs/{job}?tab=learned", 1600, 1000),
    "dashboard-new-job": Picture("/#/new", 1600, 1000),
    "dashboard-phone": Picture("/#/jobs/{job}", 390, 844),
}


@contextmanager
def searched(url: str | None, job_id: str | None) -> Iterator[tuple[str, str, int, int]]:
    """Address, job, its best trial, and one that is not on the front."""
    import fewbits

    if url is not None and job_id is not None:
        with fewbits.SearchClient(url) as client:
            yield url, job_id, *_two(client, job_id)
        return
    with tempfile.TemporaryDirectory(prefix="fewbits-") as home, fewbits.local(home, workers=1) as service:
        document = yaml.safe_load((ROOT / "examples" / "digits.yaml").read_text("utf-8"))
        job = fewbits.live(service.client.submit(document), service.client)
        yield service.url, job.id, *_two(service.client, job.id)


def _two(client: object, job_id: str) -> tuple[int, int]:
    from service.client import SearchClient

    assert isinstance(client, SearchClient)
    best = client.best(job_id, 20)
    return best[0].number, best[-1].number


def take(url: str, words: dict[str, object], folder: Path) -> None:
    """Write every picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=list(ARGUMENTS))
        for name, picture in PICTURES.items():
            context = browser.new_context(viewport={"width": picture.width, "height": picture.height})
            page = context.new_page()
            page.goto(url + picture.path.format(**words))
            page.wait_for_selector("main .card, main form")
            if "{job}" in picture.path:
                page.wait_for_function(DRAWN)
            picture.prepare(page)
            page.wait_for_timeout(CALM_MS)
            page.screenshot(path=folder / f"{name}.png")
            context.close()
        browser.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(
        description="Take the pictures of the dashboard in the documentation anew."
    )
    parser.add_argument("--url", help="address of a service with the job")
    parser.add_argument("--job", help="a job that has ended")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    with searched(options.url, options.job) as (url, job_id, best, other):
        take(url, {"job": job_id, "best": best, "other": other}, options.folder)


if __name__ == "__main__":
    main()
