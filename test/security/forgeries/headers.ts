/** What is signed: lists of headers, and headers that were changed, doubled, taken away or are no dates. */
import type { SignedMessage } from '../../support/signed-message';
import { NOBODY, signing, utf8, type Forgery } from './forgery';

const bytesOf = (message: SignedMessage, from: string | RegExp, to: string): Buffer =>
    Buffer.from(message.bytes.toString('latin1').replace(from, to), 'latin1');

const STALE = 'Thu, 01 Jan 2015 00:00:00 GMT';

const later = (seconds: number): string => new Date(Date.now() + seconds * 1000).toUTCString();

const lists: Forgery[] = [
    {
        name: 'the list in another order',
        says: NOBODY,
        valid: signing('date host'),
        forge: (message) => message.setParameter('headers', 'host date'),
    },
    {
        name: 'a name more in the list',
        says: NOBODY,
        forge: (message) => message.setParameter('headers', 'date host'),
    },
    {
        name: 'a name less in the list',
        says: NOBODY,
        valid: signing('date host'),
        forge: (message) => message.setParameter('headers', 'date'),
    },
    {
        name: 'the list taken away',
        says: NOBODY,
        valid: signing('date host'),
        forge: (message) => message.setParameter('headers', undefined),
    },
    {
        name: 'the list emptied',
        says: NOBODY,
        valid: signing('date host'),
        forge: (message) => message.setParameter('headers', ''),
    },
    {
        name: 'a header that the request does not have',
        says: /x-absent/,
        forge: (message) => message.setParameter('headers', 'date x-absent').sign(),
    },
    {
        name: 'a header in a list without the date',
        says: /date/,
        forge: (message) => message.setParameter('headers', 'host').sign(),
    },
    {
        name: 'the request line in a list without the date',
        says: /date/,
        forge: (message) => message.setParameter('headers', 'request-line').sign(),
    },
    {
        name: 'the request target in a list without the date',
        says: /date/,
        forge: (message) => message.setParameter('headers', '(request-target)').sign(),
    },
    {
        name: 'the date in a list without the x-date that is there',
        says: /x-date/,
        forge: (message) => message.addHeader('X-Date', later(0)).setParameter('headers', 'date').sign(),
    },
    {
        name: 'names between commas',
        says: /date,host|date/,
        forge: (message) =>
            message
                .setParameter('headers', 'date,host')
                .sign({ text: `date: ${message.header('date')!}\nhost: ${message.header('host')!}` }),
    },
    {
        name: 'the list with two spaces',
        says: /header/i,
        forge: (message) => message.setParameter('headers', 'date  host').sign(),
    },
    {
        name: 'the list with a space before it',
        says: /header/i,
        forge: (message) => message.setParameter('headers', ' date').sign(),
    },
    {
        name: 'the list with tabs',
        says: /date\thost|header/i,
        forge: (message) =>
            message
                .setParameter('headers', 'date\thost')
                .sign({ text: `date: ${message.header('date')!}\nhost: ${message.header('host')!}` }),
    },
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map((name): Forgery => ({
        name: `${name} in the list`,
        says: new RegExp(name, 'i'),
        forge: (message) => message.setParameter('headers', `date ${name}`).sign(),
    })),
    ...['(request-target', '(Request-Target) ', '(status)', '()', ':method', ':path', 'authorization '].map(
        (name): Forgery => ({
            name: `${JSON.stringify(name)} in the list`,
            says: /header|alice/i,
            forge: (message) => message.setParameter('headers', `date ${name}`).sign(),
        }),
    ),
    {
        name: 'the Authorization itself in the list',
        says: /alice|authorization/i,
        forge: (message) => message.setParameter('headers', 'date authorization').sign(),
    },
    {
        name: 'four thousand names in the list',
        says: /headers|x-\d+/,
        forge: (message) =>
            message
                .setParameter(
                    'headers',
                    ['date', ...Array.from({ length: 4000 }, (_, n) => `x-${n}`)].join(' '),
                )
                .setSignature(Buffer.alloc(256, 1)),
    },
    {
        name: 'a long header named thousands of times, to make a text of gigabytes',
        says: /headers|x-long/,
        forge: (message) =>
            message
                .addHeader('X-Long', 'x'.repeat(800_000))
                .setParameter('headers', `date${' x-long'.repeat(8_000)}`)
                .setSignature(Buffer.alloc(256, 1)),
    },
];

const changed: Forgery[] = [
    {
        name: 'another date',
        says: NOBODY,
        forge: (message) => message.setHeader('date', later(-7)),
    },
    {
        name: 'the date in lower case',
        says: NOBODY,
        forge: (message) => message.setHeader('date', message.header('date')!.toLowerCase()),
    },
    {
        name: 'the date with two spaces',
        says: NOBODY,
        forge: (message) => message.setHeader('date', message.header('date')!.replace(', ', ',  ')),
    },
    {
        name: 'the date in another format',
        says: /alice|date/i,
        forge: (message) =>
            message.setHeader('date', new Date(Date.parse(message.header('date')!)).toISOString()),
    },
    { name: 'no date', says: /date/i, forge: (message) => message.setHeader('date', undefined) },
    { name: 'an empty date', says: /date/i, forge: (message) => message.setHeader('date', '') },
    {
        name: 'the date twice, the same',
        says: /date/i,
        forge: (message) => message.addHeader('Date', message.header('date')!),
    },
    {
        name: 'the date twice, an old one first',
        says: /date/i,
        forge: (message) => {
            message.headers.unshift(['Date', STALE]);
            return message;
        },
    },
    {
        name: 'the date twice, an old one last',
        says: /date/i,
        forge: (message) => message.addHeader('Date', STALE),
    },
    {
        name: 'the x-date twice',
        says: /date/i,
        valid: (message) => message.addHeader('X-Date', later(0)),
        forge: (message) => message.addHeader('X-Date', message.header('x-date')!),
    },
    {
        name: 'the date as x-date',
        says: NOBODY,
        forge: (message) => message.addHeader('X-Date', message.header('date')!).setHeader('date', undefined),
    },
    {
        name: 'an x-date beside the date that was signed',
        says: /alice|x-date/,
        forge: (message) => message.addHeader('X-Date', later(1)),
    },
    {
        name: 'a stale x-date beside the date that was signed',
        says: /x-date/i,
        forge: (message) => message.addHeader('X-Date', STALE),
    },
    {
        name: 'the x-date taken away from a stale date',
        says: /date/i,
        valid: (message) => message.setHeader('Date', STALE).addHeader('X-Date', later(0)),
        forge: (message) => message.setHeader('X-Date', undefined),
    },
    {
        name: 'the x-date emptied',
        says: NOBODY,
        valid: (message) => message.addHeader('X-Date', later(0)),
        forge: (message) => message.setHeader('X-Date', ''),
    },
    {
        name: 'the values of two headers exchanged',
        says: NOBODY,
        valid: signing('date x-one x-two', { 'X-One': 'a', 'X-Two': 'b' }),
        forge: (message) => message.setHeader('X-One', 'b').setHeader('X-Two', 'a'),
    },
    {
        name: 'the names of two headers exchanged in the list',
        says: NOBODY,
        valid: signing('date x-one x-two', { 'X-One': 'a', 'X-Two': 'b' }),
        forge: (message) => message.setParameter('headers', 'date x-two x-one'),
    },
    {
        name: 'a signed header with another value',
        says: NOBODY,
        valid: signing('date x-one', { 'X-One': 'a' }),
        forge: (message) => message.setHeader('X-One', 'A'),
    },
    {
        name: 'a signed header taken away',
        says: /x-one/,
        valid: signing('date x-one', { 'X-One': 'a' }),
        forge: (message) => message.setHeader('X-One', undefined),
    },
    {
        name: 'a signed header once more',
        says: NOBODY,
        valid: signing('date x-one', { 'X-One': 'a' }),
        forge: (message) => message.addHeader('X-One', 'b'),
    },
    {
        name: 'a signed header once more, before it',
        says: NOBODY,
        valid: signing('date x-one', { 'X-One': 'a' }),
        forge: (message) => {
            message.headers.unshift(['X-One', 'b']);
            return message;
        },
    },
    {
        name: 'another Host',
        says: NOBODY,
        valid: signing('date host'),
        forge: (message) => message.setHeader('Host', 'other.example.com'),
    },
    {
        name: 'two lines made into one header',
        says: /date/i,
        valid: signing('date x-one', { 'X-One': 'a' }),
        forge: (message) =>
            message.setHeader('Date', `${message.header('date')!} x-one: a`).setParameter('headers', 'date'),
    },
    {
        name: 'two Authorization headers, the right one last',
        says: /Authorization/,
        forge: (message) => {
            const forged = message.copy().setSignature(Buffer.alloc(256, 1));
            return bytesOf(
                message,
                'Authorization: ',
                `Authorization: ${forged.authorization}\r\nAuthorization: `,
            );
        },
    },
    {
        name: 'two Authorization headers, the right one first',
        says: /Authorization/,
        forge: (message) => {
            const forged = message.copy().setParameter('keyId', 'bob');
            return bytesOf(message, /\r\n\r\n$/, `\r\nAuthorization: ${forged.authorization}\r\n\r\n`);
        },
    },
];

/** Dates that a user may have signed, and that are none or are of another time. */
const odd: Forgery[] = [
    'yesterday',
    'now',
    '0',
    '-1',
    'NaN',
    'Infinity',
    'null',
    '1e21',
    '99999999999999999999',
    '9'.repeat(5000),
    String(Date.now()),
    String(Math.floor(Date.now() / 1000)),
    '2015',
    '2015-01-01T00:00:00.000Z',
    '+275760-09-13T00:00:00.001Z',
    '-271821-04-19T23:59:59.999Z',
    '0000-00-00T99:99:99Z',
    'Sat, 32 Nov 2026 15:55:20 GMT',
    'Thu, 01 Jan 1970 00:00:00 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    '__proto__',
    'constructor',
    '💾',
].map((date) => ({
    name: `a signed date of ${JSON.stringify(date.length > 100 ? `${date.slice(0, 3)}…` : date)}`,
    says: /date/i,
    forge: (message) => message.setHeader('Date', utf8(date)).sign(),
}));

const zones: Forgery[] = ['+0500', '-0800', 'PST', 'GMT+6'].map((zone) => ({
    name: `a signed date in the time zone ${zone}, which makes it another time`,
    says: /date/i,
    forge: (message) => message.setHeader('Date', message.header('date')!.replace('GMT', zone)).sign(),
}));

export const headers: readonly Forgery[] = [...lists, ...changed, ...odd, ...zones];
