"""What is escaped is read back by another program's parser as it was."""

import string
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from desktop_app.figures.xml_text import escape, quoteattr

TEXTS = st.text(st.sampled_from(string.printable[:-2] + "äé€☃😀"))


@given(TEXTS)
def test_an_attribute_is_read_back(text):
    assert ElementTree.fromstring(f"<a b={quoteattr(text)}/>").get("b") == text


@given(TEXTS.map(lambda text: text.replace("\r", "")))  # a parser makes a line feed of it
def test_an_element_is_read_back(text):
    assert (ElementTree.fromstring(f"<a>{escape(text)}</a>").text or "") == text
