import type { MediaType, OpenApiDocument, Operation, ResponseObject, Schema } from './openapi';
import { PAGE_STYLE } from './page-style';

type Schemas = OpenApiDocument['components']['schemas'];

/** Where the curls of the page point to until their reader says otherwise. */
const DEFAULT_GATEWAY = 'http://localhost:8080';

/** The document as a page for people: HTML without scripts, complete in itself. */
export function renderPage({ info, paths, components }: OpenApiDocument): string {
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const contents = routes.map(
    ({ path, method, operation }) =>
      `<li><a href="#${escape(operation.operationId)}"><code>${method.toUpperCase()} ${escape(path)}</code></a> <span class="dim">${escape(operation.summary)}</span></li>`,
  );
  const sections = routes.map(({ path, method, operation }) =>
    routeSection(path, method, operation, components.schemas),
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(info.title)}: HTTP interface</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<h1>${escape(info.title)}</h1>
<p>${escape(info.description)}</p>
<p class="dim">Version ${escape(info.version)} of the HTTP interface. For programs: <a href="/openapi.json">openapi.json</a>.</p>
<p>The examples need one line before them:</p>
<pre>GATEWAY=${DEFAULT_GATEWAY}</pre>
<p>Those for operators need the token, too, which <code>npm start</code> keeps in a file:</p>
<pre>OPERATOR_TOKEN=$(cat var/operator-token)</pre>
<nav><ul>${contents.join('\n')}
<li><a href="#problems">All problems</a></li></ul></nav>
<main>
${sections.join('\n')}
${problemsSection(components.schemas)}
</main>
</body>
</html>
`;
}

function routeSection(path: string, method: string, operation: Operation, schemas: Schemas) {
  const { operationId, summary, description, parameters = [], requestBody } = operation;
  const body = requestBody?.content['application/json'];
  const names = parameters.map(
    (one) =>
      `<dt><code>${escape(one.name)}</code> <span class="dim">${one.in}</span></dt><dd>${escape(one.description)}</dd>`,
  );
  const hasRequest = names.length > 0 || body !== undefined;
  return `<section>
<h2 id="${escape(operationId)}"><span class="method">${escape(method)}</span> <code>${escape(path)}</code></h2>
<p><strong>${escape(summary)}.</strong> ${escape(description)}</p>
<pre>${escape(curl(path, method, operation))}</pre>
${hasRequest ? '<h3>Request</h3>' : ''}
${names.length > 0 ? `<dl>${names.join('')}</dl>` : ''}
${body ? fieldList(body.schema, schemas) : ''}
<h3>Answers</h3>
${Object.entries(operation.responses)
  .map(([status, response]) => answer(status, response, schemas))
  .join('\n')}
</section>`;
}

function answer(status: string, response: ResponseObject, schemas: Schemas): string {
  const { description, headers = {}, content = {} } = response;
  const heading = `<h4>${status === 'default' ? 'Otherwise' : escape(status)}</h4>`;
  const lines = Object.entries(headers).map(
    ([name, header]) =>
      `<p class="dim">Header <code>${escape(name)}</code>: ${escape(header.description)}</p>`,
  );
  const bodies = Object.entries(content).map(([name, media]) => answerBody(name, media, schemas));
  return [heading, `<p>${escape(description)}</p>`, ...lines, ...bodies].join('\n');
}

function answerBody(mediaType: string, media: MediaType, schemas: Schemas): string {
  if (media.examples) {
    const items = Object.entries(media.examples).map(
      ([type, { value }]) =>
        `<li><details><summary><code>${escape(type)}</code></summary>${pre(value)}<a href="#problem.${escape(type)}">What it means</a></details></li>`,
    );
    return `<ul class="problems">${items.join('')}</ul>`;
  }
  if (media.example === undefined) return '<p>See <a href="#problems">all problems</a>.</p>';
  const fields = fieldList(media.schema, schemas);
  const explained = fields && `<details><summary>Its fields</summary>${fields}</details>`;
  return `<p class="dim"><code>${escape(mediaType)}</code></p>${pre(media.example)}${explained}`;
}

function problemsSection(schemas: Schemas): string {
  const rows = Object.entries(schemas)
    .filter(([name]) => name.startsWith('problem.'))
    .map(([name, schema]) => {
      const status = String(schema.properties?.['status']?.const);
      return `<section><h3 id="${escape(name)}">${status} <code>${escape(name.slice('problem.'.length))}</code></h3>
<p><strong>${escape(schema.title ?? '')}.</strong> ${escape(schema.description ?? '')}</p>
<details><summary>Its fields</summary>${fieldList(schema, schemas)}</details></section>`;
    });
  return `<h2 id="problems">All problems</h2>
<p>Any route may also answer those that are about HTTP itself.</p>
${rows.join('\n')}`;
}

/** All fields of an object, also of the objects in it, by their paths. Empty for what is no object. */
function fieldList(schema: Schema, schemas: Schemas): string {
  const rows = fields(schema, schemas, '').map(
    ({ path, type, isRequired, description }) =>
      `<dt><code>${escape(path)}</code> <span class="dim">${escape(type)}${isRequired ? '' : ', optional'}</span></dt><dd>${escape(description)}</dd>`,
  );
  return rows.length > 0 ? `<dl>${rows.join('')}</dl>` : '';
}

interface Field {
  readonly path: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string;
}

function fields(raw: Schema, schemas: Schemas, prefix: string): readonly Field[] {
  const { properties = {}, required = [] } = resolve(raw, schemas);
  return Object.entries(properties).flatMap(([name, member]) => {
    const path = prefix + name;
    const schema = resolve(member, schemas);
    const inner = schema.items
      ? fields(schema.items, schemas, `${path}[].`)
      : fields(schema, schemas, `${path}.`);
    const { description = '' } = schema;
    const isRequired = required.includes(name);
    return [{ path, type: typeText(schema, schemas), isRequired, description }, ...inner];
  });
}

function typeText(raw: Schema, schemas: Schemas): string {
  const schema = resolve(raw, schemas);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map((one) => typeText(one, schemas)).join(' | ');
  if (schema.items) return `array of ${typeText(schema.items, schemas)}`;
  return schema.format ?? schema.type ?? 'any';
}

function resolve(schema: Schema, schemas: Schemas): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : (schemas[name] ?? schema);
}

/** A command that a reader can paste, made of the examples of the document. */
function curl(
  path: string,
  method: string,
  { parameters = [], requestBody, responses, security }: Operation,
) {
  const target = parameters.reduce((url, { in: place, name, example = '' }) => {
    if (place === 'query') return example === '' ? url : `${url}?${name}=${example}`;
    return url.replace(`{${name}}`, example);
  }, path);
  const isStream = responses['200']?.content?.['text/event-stream'] !== undefined;
  const body = requestBody?.content['application/json']?.example;
  const token = security ? [`-H "authorization: Bearer $OPERATOR_TOKEN"`] : [];
  if (body === undefined) {
    const verb = method === 'get' ? '' : ` -X ${method.toUpperCase()}`;
    return [`curl -i${isStream ? 'N' : ''}${verb} "$GATEWAY${target}"`, ...token].join(' ');
  }
  return [
    `curl -i -X ${method.toUpperCase()} "$GATEWAY${target}" \\`,
    ...token.map((header) => `  ${header} \\`),
    `  -H 'content-type: application/json' \\`,
    `  -d '${JSON.stringify(body)}'`,
  ].join('\n');
}

function pre(example: unknown): string {
  const text = typeof example === 'string' ? example : JSON.stringify(example, null, 2);
  return `<pre>${escape(text)}</pre>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' },
};

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
