"""The report of a simulation, for people: `page` makes one HTML file of an answer that opens without a network.

rendering   the page as a whole (start here; its form is assets/page.html)
telling     numbers and sentences      tables    rows of text
charts      one scenario's charts      mapping   its map      placing   which of its names have room
asked       what was asked             drawing   what charts share
"""

from api.report.rendering import page

__all__ = ["page"]
