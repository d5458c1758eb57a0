import { json, tagged, unlessKnown, type HttpResponse } from '../http/response';
import { createOpenApi } from './openapi';
import { renderPage } from './page';

export interface Docs {
  /** GET /openapi.json; `ifNoneMatch` is that header. */
  readonly openApi: (ifNoneMatch: string | undefined) => HttpResponse;
  /** GET /docs; `ifNoneMatch` is that header. */
  readonly page: (ifNoneMatch: string | undefined) => HttpResponse;
}

/** The description of the gateway, for programs and for people: built once, the page from the document. */
export function createDocs(): Docs {
  const document = createOpenApi();
  const openApi = tagged(json(200, document), CACHE_CONTROL);
  const page = tagged(
    { status: 200, headers: PAGE_HEADERS, body: renderPage(document) },
    CACHE_CONTROL,
  );
  return {
    openApi: (ifNoneMatch) => unlessKnown(openApi, ifNoneMatch),
    page: (ifNoneMatch) => unlessKnown(page, ifNoneMatch),
  };
}

/** Short, for it changes with a deployment; the ETag makes asking again cheap. */
const CACHE_CONTROL = 'public, max-age=60';

/** The page has no script and needs nothing from anywhere, and a browser holds it to that. */
const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
  'x-content-type-options': 'nosniff',
};
