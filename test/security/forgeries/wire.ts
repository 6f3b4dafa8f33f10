/** Bytes that HTTP has a meaning for, or none, in the middle of credentials; and credentials without end. */
import type { SignedMessage } from '../../support/signed-message';
import type { Forgery } from './forgery';

const HTTP = /HTTP|header/i;
const TOO_LONG = /^The Authorization header has \d+ characters/;

const spliced = (message: SignedMessage, from: string | RegExp, to: string): Buffer =>
    Buffer.from(message.bytes.toString('latin1').replace(from, to), 'latin1');

const inKeyId = (name: string, between: string): Forgery => ({
    name: `${name} in the keyId`,
    status: 400,
    says: HTTP,
    forge: (message) => spliced(message, 'keyId="alice"', `keyId="al${between}ice"`),
});

const STALE = 'Thu, 01 Jan 2015 00:00:00 GMT';

export const wire: readonly Forgery[] = [
    inKeyId('NUL', '\0'),
    inKeyId('CR', '\r'),
    inKeyId('LF', '\n'),
    inKeyId('CR LF', '\r\n'),
    inKeyId('CR LF and a space', '\r\n '),
    inKeyId('CR LF and a tab', '\r\n\t'),
    inKeyId('CR LF and a header', '\r\nX-Evil: 1\r\n'),
    inKeyId('ESC', '\x1b'),
    inKeyId('DEL', '\x7f'),
    {
        name: 'a tab in the keyId',
        says: /^No key of user "al/,
        forge: (message) => message.setParameter('keyId', 'al\tice'),
    },
    {
        name: 'CR LF and the rest of the header as another one',
        says: /keyId/,
        forge: (message) => spliced(message, 'keyId="alice"', 'keyId="ali\r\nX-Rest: ce"'),
    },
    {
        name: 'CR LF and a date in the signature',
        says: /date|signature/i,
        forge: (message) => spliced(message, 'signature="', `signature="\r\nDate: ${STALE}\r\nX-Rest: "`),
    },
    {
        name: 'CR LF in a signed header',
        says: HTTP,
        status: 400,
        valid: (message) => message.addHeader('X-One', 'a').setParameter('headers', 'date x-one'),
        forge: (message) => spliced(message, 'X-One: a', 'X-One: a\r\n b'),
    },
    {
        name: 'CR LF and a date in place of the one taken away',
        says: /date|signature/i,
        forge: (message) =>
            spliced(message.setHeader('date', undefined), 'signature="', 'signature="\r\nDate: now"'),
    },
    {
        name: 'a space before the colon of Authorization',
        status: 400,
        says: HTTP,
        forge: (message) => spliced(message, 'Authorization:', 'Authorization :'),
    },
    {
        name: 'a space before the colon of Date',
        status: 400,
        says: HTTP,
        forge: (message) => spliced(message, 'Date:', 'Date :'),
    },
    {
        name: 'a header whose name has parentheses',
        status: 400,
        says: HTTP,
        forge: (message) => message.addHeader('(request-target)', 'get /ping'),
    },
    {
        name: 'two lengths of the body',
        status: 400,
        says: HTTP,
        forge: (message) => message.addHeader('Content-Length', '0').addHeader('Content-Length', '5'),
    },
    {
        name: 'a length of the body beside chunks',
        status: 400,
        says: HTTP,
        forge: (message) =>
            message.addHeader('Content-Length', '0').addHeader('Transfer-Encoding', 'chunked'),
    },
    {
        name: 'a second request in the middle of the headers',
        says: /alice/,
        forge: (message) => {
            message.setSignature(Buffer.alloc(256, 1));
            return Buffer.concat([message.bytes, Buffer.from('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n')]);
        },
    },
    {
        name: 'a signature of 900,000 characters',
        says: TOO_LONG,
        forge: (message) => message.setParameter('signature', 'A'.repeat(900_000)),
    },
    {
        name: 'ten thousand parameters',
        says: /bob/,
        forge: (message) => message.rewrite((text) => `${text}${',x=""'.repeat(10_000)},keyId="bob"`),
    },
    {
        name: 'a hundred thousand parameters',
        says: TOO_LONG,
        forge: (message) => message.rewrite((text) => `${text}${',x=""'.repeat(100_000)}`),
    },
    {
        name: 'an Authorization of two million characters',
        status: 431,
        says: /header/i,
        forge: (message) => message.addParameter('x', 'x'.repeat(2_000_000)),
    },
    {
        name: 'a signed header of two million characters',
        status: 431,
        says: /header/i,
        forge: (message) => message.addHeader('X-Long', 'x'.repeat(2_000_000)),
    },
];
