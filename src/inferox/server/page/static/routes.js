// The page of routes: what /openapi.json says, for people.

import { ask, element, find } from "./elements.js";

function typeOf(schema, schemas, isWhole = false) {
  if (schema.$ref) return typeOf(schemas[schema.$ref.split("/").pop()], schemas, isWhole);
  if (schema.anyOf) return schema.anyOf.map((some) => typeOf(some, schemas, isWhole)).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${schema.items ? typeOf(schema.items, schemas, isWhole) : "any"}]`;
  if (isWhole && schema.properties) {
    const fields = Object.entries(schema.properties).map(([name, field]) => `${name}: ${typeOf(field, schemas, true)}`);
    return `{${fields.join(", ")}}`;
  }
  if ("const" in schema) return JSON.stringify(schema.const);
  return schema.type ?? "any";
}

function fieldsOf(schema, schemas) {
  const found = schemas[schema.$ref.split("/").pop()];
  const rows = Object.entries(found.properties).map(([name, field]) => element(
    "tr", {},
    element("td", {}, element("code", {}, name)),
    element("td", {}, typeOf(field, schemas)),
    element("td", {}, found.required?.includes(name) ? "required" : "optional"),
  ));
  return element("div", { class: "scroll" }, element("table", {}, element("caption", {}, found.title), element("tbody", {}, ...rows)));
}

function answersOf(response, schemas) {
  const kinds = Object.entries(response?.content ?? {}).map(([kind, { schema }]) => (schema ? typeOf(schema, schemas, true) : kind));
  return kinds.join(" or ") || "none, it is refused";
}

function exampleOf(responses, shared) {
  return Object.values(responses).map((response) => (response.$ref ? shared[response.$ref.split("/").pop()] : response))
    .map((response) => response.content["application/json"]?.example).find((example) => example);
}

function describe(path, method, operation, { schemas, responses }) {
  const schema = operation.requestBody?.content["application/json"].schema;
  const bodies = schema ? schema.anyOf ?? [schema] : [];
  return element(
    "details", {},
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path), element("span", { class: "quiet" }, operation.summary)),
    ...bodies.map((body) => fieldsOf(body, schemas)),
    element("p", { class: "quiet" }, `Answers: ${answersOf(operation.responses["200"], schemas)}`),
    element("p", { class: "quiet" }, `Errors: ${JSON.stringify(exampleOf(operation.responses, responses))}`),
  );
}

async function show() {
  const { said } = await ask("/openapi.json");
  const groups = new Map(said.tags.map(({ name }) => [name, []]));
  for (const [path, methods] of Object.entries(said.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (method === "parameters") continue;
      const [group] = operation.tags;
      groups.get(group).push(describe(path, method, operation, said.components));
    }
  }
  find("routes").replaceChildren(
    ...[...groups].map(([name, routes]) => element("section", {}, element("h2", {}, name), ...routes)),
  );
}

show().catch((error) => find("routes").replaceChildren(element("p", { class: "bad", role: "alert" }, error.message)));
