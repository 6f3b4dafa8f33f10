/** The documentation that the server has of itself. */
import { DOCS, getPage, redirectToDocs } from '../api/docs';
import type { Route } from '../api/route';
import { redirect } from './common';

/** What rows that lead to the documentation have in common. */
const TO_DOCS = { summary: 'Leads to this documentation.', handler: redirectToDocs };

export const docsRoutes: readonly Route[] = [
    redirect({ name: 'RedirectRoot', path: '/', ...TO_DOCS }),
    redirect({ name: 'RedirectDocs', path: '/docs', ...TO_DOCS }),
    docsPage('PublicDocs', '', 'What this server is, and how to begin.', 'text/html'),
    docsPage('PublicDocsEndpoints', 'endpoints.html', 'Every request that this server answers.', 'text/html'),
    docsPage(
        'PublicDocsObjects',
        'objects.html',
        'What the JSON of requests and answers holds.',
        'text/html',
    ),
    docsPage('PublicDocsErrors', 'errors.html', 'Every code of an error, and where it is met.', 'text/html'),
    docsPage(
        'PublicDocsOpenApi',
        'openapi.json',
        'This server, as an OpenAPI 3.1 document.',
        'application/json',
    ),
    docsPage('PublicDocsStyle', 'style.css', 'The style sheet of the pages.', 'text/css'),
];

/** A page of the documentation. */
function docsPage(name: string, file: string, summary: string, contentType: string): Route {
    return {
        name,
        method: 'GET',
        path: DOCS + file,
        summary,
        auth: 'none',
        answers: 'bytes',
        headers: ['Etag', 'Cache-Control'],
        contentTypes: [contentType],
        parameters: [],
        errors: ['PreconditionFailed'],
        steps: [],
        handler: getPage,
    };
}
