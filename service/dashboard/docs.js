// The REST reference, drawn from /openapi.json: no assets from elsewhere, so it works without internet.

import { h, put } from "./lib/dom.js";
import "./lib/theme.js";

const root = document.getElementById("view");

const refName = (ref) => ref.split("/").at(-1);

/** A schema's type in a few words, with links to the named ones. */
function typeOf(schema) {
  if (schema === undefined || schema === true) return "any";
  if (schema.$ref) return h("a", { href: `#${refName(schema.$ref)}` }, refName(schema.$ref));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, index) => (index ? [" or ", typeOf(choice)] : [typeOf(choice)])).flat();
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") {
    const items = schema.items ?? (schema.prefixItems ? { anyOf: schema.prefixItems } : undefined);
    return ["list of ", typeOf(items)].flat();
  }
  if (schema.type === "object" && schema.additionalProperties && schema.additionalProperties !== true) {
    return ["object of ", typeOf(schema.additionalProperties)].flat();
  }
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "any";
}

function limits(schema) {
  const words = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<", minLength: "length ≥", maxLength: "length ≤", pattern: "matches" };
  return Object.entries(words).filter(([key]) => key in schema).map(([key, word]) => `${word} ${schema[key]}`).join(", ");
}

function fields(schema, required = new Set(schema.required ?? [])) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name), required.has(name) ? h("span", { class: "fault", title: "required" }, " *") : null),
      h("td", {}, typeOf(field)),
      h("td", { class: "small muted" }, [field.description, limits(field), "default" in field ? `default ${JSON.stringify(field.default)}` : ""].filter(Boolean).join("; "))));
  return rows.length ? h("div", { class: "scroll" }, h("table", { class: "rows" }, h("tbody", {}, rows))) : null;
}

function parameters(list) {
  if (!list?.length) return null;
  const schema = { properties: {}, required: [] };
  for (const parameter of list) {
    const name = parameter.in === "path" ? `{${parameter.name}}` : `?${parameter.name}`;
    schema.properties[name] = { description: parameter.description, ...parameter.schema };
    if (parameter.required) schema.required.push(name);
  }
  return [h("h3", {}, "Parameters"), fields(schema)];
}

const bodyOf = (content) => {
  const [media, { schema } = {}] = Object.entries(content ?? {})[0] ?? [];
  return media === undefined ? [] : [" ", h("code", {}, media), " ", schema ? typeOf(schema) : ""].flat();
};

function operation(method, path, described) {
  const answers = Object.entries(described.responses).map(([status, answer]) =>
    h("li", {}, h("code", {}, status), ` ${answer.description}`, bodyOf(answer.content)));
  const parts = [
    h("p", {}, described.description ?? described.summary),
    parameters(described.parameters),
    described.requestBody ? h("p", {}, "Body:", bodyOf(described.requestBody.content)) : null,
    h("h3", {}, "Answers"), h("ul", { class: "small" }, answers),
  ];
  return h("details", { class: "card" },
    h("summary", {}, h("code", {}, h("strong", {}, method.toUpperCase()), ` ${path}`), h("span", { class: "muted" }, ` ${described.summary}`)), parts.flat());
}

async function draw() {
  const answer = await fetch("/openapi.json");
  const reference = await answer.json();
  const operations = Object.entries(reference.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => operation(method, path, described)));
  const schemas = Object.entries(reference.components.schemas).map(([name, schema]) =>
    h("details", { class: "card", id: name }, h("summary", {}, h("code", {}, name), h("span", { class: "muted small" }, ` ${schema.description?.split("\n")[0] ?? ""}`)),
      fields(schema) ?? h("p", {}, typeOf(schema))));
  put(root, h("h1", {}, `${reference.info.title} ${reference.info.version}`), h("p", { class: "muted" }, reference.info.summary),
    h("p", { class: "small" }, "Every error is ", h("code", {}, "application/problem+json"), " (RFC 9457); ", h("code", {}, "errors"), " names each fault with a JSON pointer into the body. * marks what is required."),
    h("h2", {}, "Operations"), operations, h("h2", {}, "Values"), schemas);
  open();
}

/** Unfold what the address names. */
function open() {
  const target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (target !== null) {
    target.open = true;
    target.scrollIntoView();
  }
}

window.addEventListener("hashchange", open);
draw().catch((error) => put(root, h("p", { class: "fault" }, `The reference cannot be read: ${error.message}`)));
