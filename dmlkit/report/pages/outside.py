"""What a page would fetch from elsewhere: a report must open with the network off."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup

# Element → the attributes through which it fetches by itself. An <a href> waits to be clicked.
FETCHING = {
    "audio": ("src",),
    "base": ("href",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


def outside_references(html: str) -> list[str]:
    """Everything a page fetches that it does not hold itself, in the order of the page.

    Args:
        html: The page.

    Returns:
        Addresses; an empty list for a page that is whole. Links to be clicked are not counted.
    """
    soup = BeautifulSoup(html, "html.parser")
    found = []
    for element in soup.find_all(True):
        found += [element[name] for name in FETCHING.get(element.name, ()) if element.has_attr(name)]
        styles = [str(value) for value in element.attrs.values() if "url(" in str(value)] + (
            [element.get_text()] if element.name == "style" else []
        )
        found += [url or imported for style in styles for url, imported in CSS_URL.findall(style)]
        # What is no code fetches nothing, whatever its strings say.
        runs = element.name == "script" and element.get("type") != "application/json"
        found += [text for text in [element.get_text()] if runs and "://" in text]
    return [address for address in found if not address.startswith(("data:", "#"))]
