"""docs/link-session.md is what `python -m host_tools.documents.session_diagram` makes of the table."""

from host_tools.documents.session_diagram import PAGE, page


def test_the_page_shows_the_table():
    assert PAGE.read_text() == page()
