// Evaluates expressions with GitHub's published package: an array of {text, context, status} on standard input, an
// array of true and false on standard output: whether GitHub takes the value for true. The functions that ask how jobs
// went answer what `status` says.
import { readFileSync } from "node:fs";
import { Evaluator, Lexer, Parser, data } from "@actions/expressions";

const FUNCTIONS = ["always", "success", "failure", "cancelled"];

function wrapped(value) {
  if (value === null) return new data.Null();
  if (typeof value === "boolean") return new data.BooleanData(value);
  if (typeof value === "number") return new data.NumberData(value);
  if (typeof value === "string") return new data.StringData(value);
  if (Array.isArray(value)) return new data.Array(...value.map(wrapped));
  const pairs = Object.entries(value).map(([key, inner]) => ({ key, value: wrapped(inner) }));
  return new data.Dictionary(...pairs);
}

function evaluated({ text, context, status }) {
  const known = FUNCTIONS.map((name) => ({ name, minArgs: 0, maxArgs: 0 }));
  const tree = new Parser(new Lexer(text).lex().tokens, Object.keys(context), known).parse();
  const answer = (name) => () => new data.BooleanData(name === "always" || status[name]);
  const functions = new Map(known.map((info) => [info.name, { ...info, call: answer(info.name) }]));
  const result = new Evaluator(tree, wrapped(context), functions).evaluate();
  if (result.kind === data.Kind.String) return result.coerceString() !== "";
  if (result.kind === data.Kind.Null) return false;
  if (result.kind === data.Kind.Number) return result.number() !== 0 && !Number.isNaN(result.number());
  return result.kind !== data.Kind.Boolean || result.coerceString() === "true";
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(evaluated)));
