import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Type } from '@sinclair/typebox';
import { problem } from '../http/problems';
import { json, tagged, unlessKnown, type HttpResponse } from '../http/response';
import { createOpenApi } from './openapi';
import {
  CACHE_HEADERS,
  IF_NONE_MATCH,
  jsonResponse,
  NOT_MODIFIED,
  oneOf,
  pathParameter,
  textResponse,
  type Route,
} from './route';

/** The OpenAPI document of `routes` and of these, and Swagger UI, which shows it (docs/decisions/0008). */
export function docsRoutes(
  routes: readonly Route[],
  options: Parameters<typeof createOpenApi>[1],
): Route[] {
  const openApi = jsonResponse(
    200,
    'The document.',
    { schema: OpenApi, example: { openapi: '3.1.0' } },
    CACHE_HEADERS,
  );
  const html = textResponse('The page.', 'text/html', '<!doctype html>', CACHE_HEADERS);
  const css = textResponse('The file.', 'text/css', '.swagger-ui {}', CACHE_HEADERS);
  const name = oneOf(Object.keys(FILE_TYPES), 'the script or the style sheet');
  const own: Route[] = [
    {
      method: 'get',
      path: '/openapi.json',
      id: 'openApi',
      summary: 'The API reference for programs',
      description: 'The OpenAPI document of the gateway.',
      parameters: [IF_NONE_MATCH],
      responses: [openApi, NOT_MODIFIED],
      problems: [],
      handle: ({ req }) => unlessKnown(document, req.headers['if-none-match']),
    },
    {
      method: 'get',
      path: '/docs',
      id: 'docs',
      summary: 'The API reference for people',
      description: 'The OpenAPI document as a page.',
      parameters: [IF_NONE_MATCH],
      responses: [html, NOT_MODIFIED],
      problems: [],
      handle: ({ req }) => unlessKnown(page, req.headers['if-none-match']),
    },
    {
      method: 'get',
      path: '/docs/{file}',
      id: 'docsFile',
      summary: 'A file of the page',
      description: 'The script or the style sheet of the API reference, compressed with gzip.',
      parameters: [pathParameter('file', 'swagger-ui.css', 'its name', name), IF_NONE_MATCH],
      responses: [css, NOT_MODIFIED],
      problems: ['not-found', 'internal'],
      handle: fileHandler(),
    },
  ];
  const document = tagged(json(200, createOpenApi([...routes, ...own], options)), CACHE_CONTROL);
  const page = tagged(PAGE, CACHE_CONTROL);
  return own;
}

const OpenApi = Type.Object({ openapi: Type.String({ pattern: '^3\\.1\\.' }) });

/** Short, because the documents change with a deployment. The ETag makes repeated requests cheap. */
const CACHE_CONTROL = 'public, max-age=60';

const PAGE_SCRIPT = `SwaggerUIBundle(${JSON.stringify({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  // Otherwise the page would send the document's address to swagger.io.
  validatorUrl: null,
})})`;
/** Everything comes from this origin; `data:` is for the icons in the style sheet. */
const PAGE_POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash('sha256').update(PAGE_SCRIPT).digest('base64')}'`,
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const PAGE: HttpResponse = {
  status: 200,
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': PAGE_POLICY,
  },
  body: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flash Sale Engine: API reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`,
};

const FILE_TYPES = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};
type File = keyof typeof FILE_TYPES;

/**
 * Serves the files of the page, each read and compressed once. They are sent from a shared buffer: a string would be
 * copied for each request, and slow readers would fill the memory. Every browser accepts gzip.
 */
function fileHandler(): Route['handle'] {
  const files = new Map<string, HttpResponse>();
  return async ({ params: { file = '' }, req }) => {
    if (!Object.hasOwn(FILE_TYPES, file)) return problem('not-found');
    const response = files.get(file) ?? (await loadFile(file as File));
    files.set(file, response);
    return unlessKnown(response, req.headers['if-none-match']);
  };
}

async function loadFile(file: File): Promise<HttpResponse> {
  const folder = dirname(require.resolve('swagger-ui-dist/package.json'));
  const content = await readFile(join(folder, file));
  const headers = {
    'content-type': FILE_TYPES[file],
    'content-encoding': 'gzip',
    'cache-control': CACHE_CONTROL,
    etag: `"${createHash('sha1').update(content).digest('base64url')}"`,
  };
  return { status: 200, headers, body: await promisify(gzip)(content) };
}
