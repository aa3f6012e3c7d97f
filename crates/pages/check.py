#!/usr/bin/env python3
"""Opens pages in a real Chromium without a network, and looks for what is wrong: check.py --venv DIR [--pictures DIR] PAGE...

Each page is shown at 390, 1280 and 1600 pixels, light and dark, and printed. Wrong is: a message in the console, a request to
anywhere, a page wider than its window, a violation of the rules of accessibility (axe-core: WCAG 2 A and AA), a box that does not
hide its target, or a fold that does not open by keyboard. With --pictures, the screenshots and the print are kept there, to be
looked at.

Needs Python 3.9 and a Chromium of the machine; playwright and axe-core come from PyPI into a virtual environment at DIR. Where
one of them cannot be had, that is said, and is no failure.
"""

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ["playwright==1.*", "axe-playwright-python==0.1.*"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 1280, 1600)
SCHEMES = ("light", "dark")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def browser():
    """The Chromium of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def show(context, page, url):
    """Shows the page in a window. Answers with a list that gets what it asks for and says, until its window is closed."""
    found = []
    page.on("console", lambda message: found.append(f"console: {message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("request", lambda request: request.url != url and found.append(f"asks for {request.url[:100]}"))
    context.set_offline(True)
    page.goto(url)
    return found


def at_width(chromium, url, width, scheme, picture):
    """The faults of a page in a window of this width."""
    from axe_playwright_python.sync_playwright import Axe

    # The page's own policy would keep out the script of axe-core.
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    found = show(context, page, url)
    needs = page.evaluate("document.documentElement.scrollWidth")
    if needs > width:
        yield f"it is {needs} pixels wide"
    if picture:
        page.screenshot(path=picture, full_page=True)
    # What is folded has to be accessible, too.
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    for violation in Axe().run(page, options=RULES).response["violations"]:
        node = violation["nodes"][0]
        yield f"{violation['id']}: {violation['help']} ({len(violation['nodes'])} times, as in {node['html'][:160]})"
    yield from found
    context.close()


def by_keyboard(chromium, url):
    """The faults of a page for a user without a pointer, with the page's own policy."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    found = show(context, page, url)
    box = page.locator(".boxes input").first
    if box.count():
        target = box.get_attribute("id").removeprefix("show-")
        shown = lambda: page.locator(f"tr.{target}, g.{target}").locator("visible=true").count()
        before = shown()
        box.focus()
        page.keyboard.press("Space")
        if before == 0 or shown() != 0:
            yield f"the box of {target} hides {before - shown()} of {before} rows and curves"
        page.keyboard.press("Space")
        if shown() != before:
            yield f"the box of {target} brings back {shown()} of {before} rows and curves"
    fold = page.locator("details:not([open]) > summary").first
    if fold.count():
        details = fold.element_handle().evaluate_handle("summary => summary.parentElement")
        fold.focus()
        page.keyboard.press("Enter")
        if not details.evaluate("details => details.open"):
            yield "a fold does not open by keyboard"
    yield from found
    context.close()


def printed(chromium, url, to):
    """The faults of a page on paper: what is folded has to be there."""
    context = chromium.new_context()
    page = context.new_page()
    found = show(context, page, url)
    page.emulate_media(media="print")
    # The browser unlocks what was folded when it draws the next frame.
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    folded = "document.querySelectorAll('details:not(.primer) > :not(summary):not(.primer)')"
    hidden = page.evaluate(f"[...{folded}].filter(it => !it.checkVisibility()).length")
    if hidden:
        yield f"on paper, {hidden} folded parts are missing"
    if not page.pdf(path=to, format="A4").startswith(b"%PDF"):
        yield "it cannot be printed"
    yield from found
    context.close()


def faults(chromium, file, pictures):
    """All faults of a page."""
    url, name = file.resolve().as_uri(), f"{file.parent.name}-{file.stem}"
    for width in WIDTHS:
        for scheme in SCHEMES:
            picture = pictures and pictures / f"{name}-{width}-{scheme}.png"
            yield from (f"{width} pixels, {scheme}: {fault}" for fault in at_width(chromium, url, width, scheme, picture))
    yield from (f"by keyboard: {fault}" for fault in by_keyboard(chromium, url))
    yield from (f"printed: {fault}" for fault in printed(chromium, url, pictures and pictures / f"{name}.pdf"))


def check(files, pictures):
    """Checks the pages in this virtual environment. Answers with an exit code."""
    from playwright.sync_api import sync_playwright

    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    found = 0
    with sync_playwright() as playwright:
        # Root may start no sandbox, and these pages are ours.
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        for file in files:
            for fault in faults(chromium, file, pictures):
                found += 1
                print(f"{file}: {fault}")
    print(f"{len(files)} pages in {len(WIDTHS) * len(SCHEMES)} windows, {found} faults")
    return 1 if found else 0


def in_environment(folder, arguments):
    """Runs this again in a virtual environment that has the packages. Answers with an exit code."""
    if not browser():
        print(f"skipped: there is no Chromium ({', '.join(BROWSERS)})")
        return 0
    python = folder / "bin" / "python3"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    got = subprocess.run(install, capture_output=True, text=True, check=False)
    if got.returncode:
        print(f"skipped: pip cannot get {', '.join(PACKAGES)}: {got.stderr.strip().splitlines()[-1:]}")
        return 0
    return subprocess.run([python, __file__, "--here", *arguments], check=False).returncode


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--venv", type=Path, help="where the packages are, or are to be put")
    arguments.add_argument("--pictures", type=Path, help="where the screenshots and the print are put")
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("pages", type=Path, nargs="+", metavar="PAGE")
    chosen = arguments.parse_args()
    missing = [page for page in chosen.pages if not page.is_file()]
    if missing:
        arguments.error(f"there is no {missing[0]}")
    if chosen.here:
        return check(chosen.pages, chosen.pictures)
    if not chosen.venv:
        arguments.error("name a folder for the packages with --venv")
    return in_environment(chosen.venv, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
