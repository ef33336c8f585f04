"""Check the links that stay within a built documentation: ``python docs/_links.py docs/_build/html``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note anchors, links and images."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.targets.add(value)
            if name in ("href", "src") and value:
                self.links.add(value)


def broken(folder: Path) -> Iterator[str]:
    """Say which links of a folder's pages lead nowhere."""
    written = (path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts)
    pages = {path.resolve(): Page(path) for path in written}
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(folder.resolve())}: there is no {link}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].targets:
                yield f"{path.relative_to(folder.resolve())}: {link} has no such place"


def main(folder: Path) -> int:
    """Print broken links; return their number, at most one."""
    found = list(broken(folder))
    print(*found, f"{len(found)} broken links within {folder}", sep="\n")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
