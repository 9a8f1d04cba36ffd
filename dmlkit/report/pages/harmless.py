"""What others' HTML may do on a report's page: be read, and look as it likes within its own cell.

Notebooks show what their authors and libraries wrote. A page runs none of it and fetches nothing for it: its
policy forbids both, and what would ask for either is taken out here, so that nothing depends on the policy alone.
"""

from __future__ import annotations

import re

import tinycss2
from bs4 import BeautifulSoup, Comment, Tag
from bs4.element import PreformattedString

from dmlkit.report.pages.outside import FETCHING

# Gone with all they hold: they run, they fetch, or browsers read their content by rules of its own.
DROPPED = (
    "script", "iframe", "frame", "frameset", "object", "embed", "applet", "portal", "link", "meta", "base",
    "template", "noscript", "noembed", "noframes", "xmp", "plaintext",
)  # fmt: skip
# What they hold stays: a page has one body, and nowhere to send a form.
UNWRAPPED = ("html", "head", "body", "main", "form")
SENDING = {"action", "formaction", "ping", "background", "manifest", "srcdoc", "autofocus", "contenteditable"}
LINKS = ("http://", "https://", "mailto:", "#")
AT_RULES = ("media", "supports")
IN_FUNCTIONS = {"url", "src", "image", "image-set", "-webkit-image-set", "cross-fade", "-webkit-cross-fade"}
# Browsers ignore these within an address, so that `java\nscript:` is one.
IGNORED = re.compile(r"[\x00-\x20\x7f-\x9f]")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def printable(text: str) -> str:
    """Text without the control characters that HTML has no place for, and that UTF-8 cannot hold."""
    return UNPRINTABLE.sub("", text)


def harmless(html: str, cell: str) -> str:
    """Markup without what runs, fetches or sends, every element closed.

    Args:
        html: What a cell shows.
        cell: The id of the element it will lie in: its style sheets reach no further.

    Returns:
        Markup in which only links to be clicked lead elsewhere.
    """
    soup = BeautifulSoup(printable(html), "html.parser")
    for text in soup.find_all(string=lambda text: isinstance(text, Comment | PreformattedString)):
        text.extract()
    for element in soup.find_all(DROPPED):
        element.decompose()
    for element in soup.find_all(UNWRAPPED):
        element.unwrap()
    for element in soup.find_all(["animate", "set"]):
        if "href" in str(element.get("attributename", "")).lower():
            element.decompose()
    for element in soup.find_all(True):
        if element.name == "style":
            element.attrs = {}
            element.string = scoped(element.get_text(), cell)
        else:
            _tame(element)
    for picture in soup.find_all("img", src=False):
        _put_words(picture, soup, what="picture")
    for recording in soup.find_all(["audio", "video"], src=False):
        if not recording.find("source", src=True):
            _put_words(recording, soup, what="recording")
    return str(soup)


def _tame(element: Tag) -> None:
    """Take the attributes that run, fetch or send from one element."""
    fetching = FETCHING.get(element.name, ())
    for name in list(element.attrs):
        value = " ".join(element[name]) if isinstance(element[name], list) else str(element[name])
        address = IGNORED.sub("", value).lower()
        if name.startswith("on") or name in SENDING or name == "srcset":
            del element[name]
        elif name == "style":
            element[name] = _declared(tinycss2.parse_blocks_contents(value))
        elif name in ("href", "xlink:href") and element.name in ("a", "area"):
            if ":" in address.split("/")[0].split("#")[0] and not address.startswith(LINKS):
                del element[name]
        elif name in fetching or name in ("src", "href", "xlink:href", "poster"):
            if not address.startswith(("data:", "#")):
                del element[name]
        elif "url(" in address and _fetches(tinycss2.parse_component_value_list(value)):
            del element[name]


def _put_words(picture: Tag, soup: BeautifulSoup, *, what: str) -> None:
    words = soup.new_tag("span", attrs={"class": "left-out"})
    alt = str(picture.get("alt") or picture.get("title") or "").strip()
    words.string = f"[A {what} that lies outside this page{': ' + alt if alt else ''}]"
    picture.replace_with(words)


def scoped(css: str, cell: str) -> str:
    """A style sheet that reaches only what lies within one element, and fetches nothing.

    Args:
        css: The style sheet.
        cell: The element's id.
    """
    name = "".join(f"\\{ord(letter):x} " if letter in '"\\\n<' else letter for letter in cell)
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    # Nothing in a style sheet may end the element it stands in.
    return re.sub(r"<(?=[/!])", r"\\3c ", _rules(rules, f':where([id="{name}"])'))


def _rules(rules: list, scope: str) -> str:
    said = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = ", ".join(f"{scope} {part}" for part in _parts(rule.prelude))
            said.append(f"{selectors} {{ {_declared(tinycss2.parse_blocks_contents(rule.content))} }}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in AT_RULES and rule.content is not None:
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            said.append(
                f"@{rule.lower_at_keyword} {tinycss2.serialize(rule.prelude)} {{ {_rules(inner, scope)} }}"
            )
    return "\n".join(said)


def _parts(prelude: list) -> list[str]:
    """The selectors of a rule, parted at the commas that are not within brackets."""
    parts: list[list] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [text for part in parts if (text := tinycss2.serialize(part).strip())]


def _declared(nodes: list) -> str:
    kept = []
    for node in nodes:
        if node.type != "declaration" or _fetches(node.value):
            continue
        # What is fixed to the window would lie over the rest of the page.
        if node.lower_name == "position" and "fixed" in tinycss2.serialize(node.value).lower():
            continue
        kept.append(node.serialize() + ";")
    return " ".join(kept)


def _fetches(tokens: list) -> bool:
    """Whether a value would make the browser ask for something."""
    for token in tokens:
        if token.type == "url" and not token.value.strip().startswith(("data:", "#")):
            return True
        if token.type == "function":
            texts = [each.value for each in token.arguments if each.type in ("string", "url")]
            if token.lower_name in IN_FUNCTIONS and not all(
                text.strip().startswith(("data:", "#")) for text in texts
            ):
                return True
            if _fetches(token.arguments):
                return True
        if token.type in ("() block", "[] block", "{} block") and _fetches(token.content):
            return True
    return False
