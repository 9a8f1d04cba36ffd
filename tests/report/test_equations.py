"""Equations as MathML, and optional sections that show nothing, on a report's pages."""

import nbformat
import nbformat.v4 as v4

from dmlkit.report.pages import cleaned, equations, render_notebook


def test_equations_are_mathml_that_survives_cleaning_and_code_is_left():
    html = equations(
        r"<p>$\alpha_t$ and $$\sum_i p(i) &lt; 1$$</p><pre>$x$</pre><code>$y$</code> for $5 or $6"
    )
    assert html.count("<math") == 2 and 'display="block"' in html and "$x$" in html and "$y$" in html
    assert "for $5 or $6" in html and "\\alpha" not in html
    assert cleaned(html).count("<msub>") == html.count("<msub>") == 1 and 'display="block"' in cleaned(html)
    assert "<script" not in cleaned(equations("<p>$$&lt;script&gt;alert(1)&lt;/script&gt;$$</p>"))


def test_optional_sections_without_a_table_or_figure_are_not_shown(tmp_path):
    optional = {"metadata": {"tags": ["optional"]}}
    stream = v4.new_output("stream", text="not applicable here")
    shown = v4.new_output("execute_result", data={"text/plain": "shown"}, execution_count=1)
    cells = [
        v4.new_markdown_cell("# Title $x$"),
        v4.new_markdown_cell("## Training"), v4.new_code_cell("1", outputs=[stream]),
        v4.new_markdown_cell("## Empty", **optional), v4.new_code_cell("2", outputs=[stream]),
        v4.new_markdown_cell("more of it"),
        v4.new_markdown_cell("## Full", **optional), v4.new_code_cell("3", outputs=[shown]),
        v4.new_markdown_cell("## Takeaways"),
    ]  # fmt: skip
    path = tmp_path / "notebook.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    page = render_notebook(path, title="Title", data="made up", generated=True, profile="smoke", footer="")
    assert "Training" in page and "Full" in page and "Takeaways" in page and "<math" in page
    assert "Empty" not in page and "more of it" not in page
