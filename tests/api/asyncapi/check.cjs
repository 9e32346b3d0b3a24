// Says what the official parser finds in the document named; exit code 1 when there is an error or a warning.
const { Parser } = require("@asyncapi/parser");
const { readFileSync } = require("node:fs");

new Parser().parse(readFileSync(process.argv[2], "utf8")).then(({ document, diagnostics }) => {
  const grave = diagnostics.filter((found) => found.severity <= 1);
  for (const found of grave) console.log(`${found.path.join("/")}: ${found.message}`);
  process.exit(document && grave.length === 0 ? 0 : 1);
});
