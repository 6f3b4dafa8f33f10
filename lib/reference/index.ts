/** The reference documentation as the server shows it: pages made once, from what this server is. */
import { createHash } from 'node:crypto';
import type { Page, Reference } from '../api/docs';
import { openApi } from './openapi';
import { endpointsPage } from './page-endpoints';
import { errorsPage } from './page-errors';
import { indexPage } from './page-index';
import { objectsPage } from './page-objects';
import { STYLE } from './style';
import type { Subject } from './subject';

const HTML = 'text/html; charset=utf-8';

/** What stands at each path, and how it is made. */
const PAGES: Readonly<Record<string, { contentType: string; make: (subject: Subject) => string }>> = {
    '/docs/': { contentType: HTML, make: indexPage },
    '/docs/endpoints.html': { contentType: HTML, make: endpointsPage },
    '/docs/objects.html': { contentType: HTML, make: objectsPage },
    '/docs/errors.html': { contentType: HTML, make: errorsPage },
    '/docs/openapi.json': {
        contentType: 'application/json',
        make: (subject) => `${JSON.stringify(openApi(subject), null, 2)}\n`,
    },
    '/docs/style.css': { contentType: 'text/css; charset=utf-8', make: () => STYLE },
};

/** Pages about the subject; each is made when it is first asked for, and kept. */
export function createReference(subject: Subject): Reference {
    const made = new Map<string, Page>();
    return {
        page(path) {
            const known = made.get(path);
            const source = PAGES[path];
            if (known || !source) {
                return known;
            }
            const body = Buffer.from(source.make(subject));
            const etag = createHash('sha1').update(body).digest('hex');
            const page = { contentType: source.contentType, body, etag };
            made.set(path, page);
            return page;
        },
    };
}
