// Runs the functions of a client's script: node serve.mjs SCRIPT.
//
// Reads calls from stdin, a line of JSON each: {"task": name, "arguments": {...}, "first": bool}. Writes a line
// of JSON for each to stdout: {"gave": ...}, or {"raised": {...}} with what a user of the client sees of the
// error. A generator gives the list of its pieces, or with `first` the first that is not empty, and is closed.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inspect } from "node:util";
import { pathToFileURL } from "node:url";

const script = await import(pathToFileURL(process.argv[2]));

function told(error) {
  const headers = error.headers ?? new Headers(error.responseHeaders);
  return {
    class: error.constructor.name,
    status: error.status ?? error.statusCode ?? null,
    message: String(error.message ?? error),
    body: error.error ?? null,
    retry_after: headers?.get?.("retry-after") ?? null,
    traceback: inspect(error),
  };
}

async function given(outcome, first) {
  if (!outcome?.[Symbol.asyncIterator]) return (await outcome) ?? null;
  const pieces = [];
  for await (const piece of outcome) {
    if (first && piece) return piece;
    pieces.push(piece);
  }
  return pieces;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { task, arguments: named, first } = JSON.parse(line);
  let outcome;
  try {
    outcome = { gave: await given(script[task](named), first) };
  } catch (error) {
    outcome = { raised: told(error) };
  }
  if (!process.stdout.write(`${JSON.stringify(outcome)}\n`)) await once(process.stdout, "drain");
}
process.exit(0);
