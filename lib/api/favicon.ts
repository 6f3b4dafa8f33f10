import { createHash } from 'node:crypto';
import type { Call } from './call';
import { evaluateConditions } from './conditional';

/** Three stacked layers, 16 x 16: an ICO file. */
const ICON = Buffer.from(
    [
        'AAABAAEAEBAAAAEAIACKAAAAFgAAAIlQTkcNChoKAAAADUlIRFIAAAAQAAAAEAgGAAAAH/P/YQAAAFFJREFUeNpjYKAl0M7Z',
        '8B+EydKEC5OtkaBBFBtAsRdgwLDp3H8YhmlCFiNKIzGY+gYQaxDBMEje/PY/DMM0IYsRpZEYTH0DiDWIpHxBliZSAQB2BkBo',
        'YwT89gAAAABJRU5ErkJggg==',
    ].join(''),
    'base64',
);
const MD5 = createHash('md5').update(ICON).digest('base64');

export function favicon(call: Call): void {
    const headers = { Etag: `"${MD5}"`, 'Cache-Control': 'public, max-age=86400' };
    if (evaluateConditions(call.method, call.headers, { etags: [MD5] }).notModified) {
        call.sendEmpty(304, headers);
        return;
    }
    call.sendBytes(200, ICON, { ...headers, 'Content-Type': 'image/x-icon' });
}
