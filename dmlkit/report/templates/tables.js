// A table with `data-searchable` gets a search box, and in each heading a button that sorts by its column.
const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const number = (text) => Number(text.replaceAll(",", ""));
const absent = (text) => text === "–" || text === "";

for (const table of document.querySelectorAll("table[data-searchable]:has(thead th):has(tbody)")) {
  const body = table.tBodies[0], rows = [...body.rows], headings = [...table.tHead.rows].at(-1).cells;
  // A name that is too long for its cell is whole in its title.
  const texts = rows.map((row) => [row, ...row.querySelectorAll("[title]")]
    .map((each) => each.title || each.textContent).join(" ").toLowerCase());

  const box = document.createElement("p");
  box.className = "search";
  box.innerHTML = '<label>Search <input type="search" autocomplete="off"></label> <output></output>';
  (table.closest(".scroll") ?? table).before(box);
  const search = () => {
    const wanted = box.querySelector("input").value.toLowerCase().split(/\s+/);
    rows.forEach((row, at) => { row.hidden = !wanted.every((word) => texts[at].includes(word)); });
    const found = rows.filter((row) => !row.hidden).length;
    box.querySelector("output").textContent = `${found.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  box.addEventListener("input", search);
  search();

  for (const [column, heading] of [...headings].entries()) {
    if (!heading.textContent.trim()) continue;
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sign = heading.ariaSort === "ascending" ? -1 : 1;
      for (const each of headings) each.ariaSort = each === heading ? (sign > 0 ? "ascending" : "descending") : null;
      const keys = new Map(rows.map((row) => [row, row.cells[column]?.textContent.trim() ?? ""]));
      const isText = [...keys.values()].some((text) => !absent(text) && Number.isNaN(number(text)));
      const order = isText ? words.compare : (a, b) => number(a) - number(b);
      const sorted = rows.toSorted((a, b) => absent(keys.get(a)) - absent(keys.get(b)) || sign * order(keys.get(a), keys.get(b)));
      body.append(...sorted);
    });
  }
}
