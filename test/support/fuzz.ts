/** Requests made by chance: of every route, with paths, queries, headers and bodies that are right, wrong or absurd. */
import querystring from 'node:querystring';
import { gzipSync } from 'node:zlib';
import type { Route } from '../../lib/api/route';
import { routes } from '../../lib/routes';
import { md5, UNKNOWN } from './api';
import { makeTarget, OUTBOUND } from './fuzz-target';
import { Chance } from './fuzz-values';

export interface FuzzRequest {
    method: string;
    bytes: Buffer;
    /** It may be no complete HTTP request: then the connection may end without an answer. */
    malformed: boolean;
    /** Path and query, decoded. */
    target: string;
}

/** What requests are made for. */
export interface FuzzSubject {
    /** The rows that the server has. */
    routes: readonly Route[];
    /** Signs a request, for a server that wants it. */
    credentials?: () => Record<string, string>;
    /** Servers that it may be told to connect to, beside those of {@link OUTBOUND}. */
    sources?: readonly string[];
    /** What it takes images as. */
    isPublic: boolean;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'M-SEARCH', 'GETT'];

/** Headers that the server looks at, with values that mean something to somebody. */
const HEADERS: Readonly<Record<string, readonly string[]>> = {
    Accept: [
        '*/*',
        'application/json',
        'text/plain',
        'text/html',
        'application/javascript',
        '',
        ';;;',
        '*',
        'a/b;q=x',
    ],
    'Accept-Version': [
        '~1',
        '*',
        '~2',
        '>=1 <3',
        '3',
        'x',
        '',
        '1.0.0 || 2.0.0',
        '~'.repeat(200),
        '1'.repeat(300),
    ],
    'X-Api-Version': ['*', '~2', 'x'],
    'Accept-Encoding': ['gzip', 'br;q=1', '*;q=0'],
    Authorization: [
        '',
        'Signature',
        'Signature keyId="alice"',
        'Signature keyId="alice",algorithm="rsa-sha256",signature="AAAA"',
        'Signature keyId="__proto__",algorithm="rsa-sha256",signature="AAAA"',
        'Signature keyId="alice",algorithm="none",signature="="',
        'Signature keyId="alice",algorithm="rsa-md5",headers="date (request-target) host",signature="!"',
        'Signature keyId="/alice/keys/aa:bb",algorithm="hmac-sha1",signature="AA=="',
        'Basic YWxpY2U6c2VjcmV0',
        'Bearer x',
    ],
    Date: ['yesterday', 'Thu, 01 Jan 1970 00:00:00 GMT', ''],
    Range: [
        'bytes=0-',
        'bytes=0-0',
        'bytes=-1',
        'bytes=5-2',
        'bytes=999999999999999999999-',
        'bytes=0-1,2-3,4-5',
        'bytes=',
        'bytes=a-b',
        'lines=1-2',
        `bytes=${'0-0,'.repeat(500)}`,
    ],
    'If-Range': ['"x"', 'W/"x"', 'Thu, 01 Jan 2099 00:00:00 GMT', 'x'],
    'If-Match': ['*', '"x"', ',,,', 'W/"x", *', 'x'.repeat(2000)],
    'If-None-Match': ['*', '"x"', '', ', ,'],
    'If-Modified-Since': ['Thu, 01 Jan 2099 00:00:00 GMT', 'never', '0'],
    'If-Unmodified-Since': ['Thu, 01 Jan 1970 00:00:00 GMT', 'never'],
    'Content-Encoding': ['gzip', 'identity', 'br', 'gzip, gzip', ''],
    'Content-MD5': ['AAAA', '', 'x'.repeat(500), '1B2M2Y8AsgTpgAmY7PhCfg=='],
    'Content-Type': [
        'application/json',
        'application/json; charset=utf-8',
        'application/x-www-form-urlencoded',
        'application/octet-stream',
        'image/png',
        'multipart/form-data',
        '',
        ';',
    ],
    Expect: ['100-continue', '200-maybe'],
    'Transfer-Encoding': ['chunked', 'gzip, chunked', 'identity'],
    'Content-Length': ['0', '1', '-1', '1e3', '99999999999999999999', '21474836481', ''],
    Connection: ['close', 'keep-alive', 'upgrade', 'content-length'],
    Upgrade: ['websocket', 'h2c'],
    Host: ['', 'localhost', 'a b', '[::1]', '[', 'x:y:z', 'é', 'example.com/%'],
    'X-Request-Id': ['abc', '', '../../x', 'x'.repeat(600), '__proto__'],
    'Request-Id': ['5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0a11'],
    'X-Forwarded-For': ['127.0.0.1, unknown', '💩'],
    Cookie: ['a=b; __proto__=1'],
};

/** Those that ask for a part of a file, or for one only under a condition. */
const CONDITIONS = [
    'Range',
    'Range',
    'If-Range',
    'If-Match',
    'If-None-Match',
    'If-Modified-Since',
    'If-Unmodified-Since',
];

/** Makes requests; the same seed, number, subject and images give the same one. */
export class Fuzzer {
    readonly #sources: readonly string[];

    constructor(
        private readonly seed: number,
        private readonly subject: FuzzSubject,
    ) {
        this.#sources = [...OUTBOUND, ...(subject.sources ?? [])];
    }

    /** @param images uuids of images that are there */
    request(number: number, images: readonly string[]): FuzzRequest {
        const chance = new Chance(this.seed * 1_000_003 + number);
        // Now and then one that this server does not have.
        const route = chance.pick(chance.onceIn(20) ? routes : this.subject.routes);
        const method = chance.onceIn(12) ? chance.pick(METHODS) : route.method;
        const { target, uuid } = makeTarget(chance, route, { number, images, sources: this.#sources });
        const body = this.#body(chance, route, uuid);
        const headers: [string, string][] = [['Host', '127.0.0.1']];
        if (this.subject.credentials && !chance.onceIn(4)) {
            headers.push(...Object.entries(this.subject.credentials()));
        }
        if (body) {
            headers.push(['Content-Type', route.name === 'AddImageIcon' ? 'image/png' : 'application/json']);
            if (chance.onceIn(10)) {
                headers.push(['Content-MD5', md5(body)]);
            }
        }
        const wrapped = body && chance.onceIn(12) ? gzipped(chance, body, headers) : body;
        const isChunked = wrapped !== undefined && chance.onceIn(6);
        if (wrapped) {
            headers.push(
                isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(wrapped.length)],
            );
        }
        if (route.method === 'GET' && chance.onceIn(3)) {
            const name = chance.pick(CONDITIONS);
            headers.push([name, chance.pick(HEADERS[name] ?? [])]);
        }
        const framing = addNastyHeaders(chance, headers);
        const head = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)];
        const bytes = Buffer.concat([
            Buffer.from(`${head.join('\r\n')}\r\n\r\n`, chance.onceIn(2) ? 'utf8' : 'latin1'),
            isChunked ? chunked(chance, wrapped) : (wrapped ?? Buffer.alloc(0)),
        ]);
        // A URL with other bytes in it might be that of a server somewhere.
        const isDamaged = chance.onceIn(12) && !bytes.includes('source') && !bytes.includes('file_url');
        return {
            method,
            bytes: isDamaged ? damaged(chance, bytes) : bytes,
            malformed: framing || isDamaged || METHODS.indexOf(method) >= METHODS.indexOf('GETT'),
            target: querystring.unescape(target),
        };
    }

    /** @param uuid of the path */
    #body(chance: Chance, route: Route, uuid: string): Buffer | undefined {
        if (route.body === 'bytes') {
            return chance.onceIn(10)
                ? Buffer.alloc(0)
                : Buffer.alloc(chance.below(200_000), chance.below(256));
        }
        if (route.body !== 'json') {
            return chance.onceIn(10) ? Buffer.from(chance.json()) : undefined;
        }
        if (chance.onceIn(15)) {
            return undefined;
        }
        if (route.path.endsWith('/acl')) {
            const items = Array.from({ length: chance.below(5) }, () =>
                chance.onceIn(3) ? chance.json() : JSON.stringify(UNKNOWN),
            );
            return Buffer.from(chance.onceIn(5) ? chance.json() : `[${items.join()}]`);
        }
        if (chance.onceIn(8)) {
            return Buffer.from(chance.json());
        }
        if (route.path.endsWith('/from-url')) {
            const url = chance.onceIn(6) ? chance.json() : JSON.stringify(chance.pick(this.#sources));
            return Buffer.from(`{"file_url": ${url}}`);
        }
        if (route.actions?.includes('channel-add')) {
            return Buffer.from(`{"channel": ${chance.onceIn(3) ? chance.json() : '"release"'}}`);
        }
        const { isPublic } = this.subject;
        if (route.actions?.includes('import')) {
            return Buffer.from(chance.manifest({ whole: true, isPublic, uuid }));
        }
        return Buffer.from(chance.manifest({ whole: route.path === '/images', isPublic }));
    }
}

/** Compressed, or said to be; sometimes something that grows a thousandfold. */
function gzipped(chance: Chance, body: Buffer, headers: [string, string][]): Buffer {
    headers.push(['Content-Encoding', 'gzip']);
    switch (chance.below(4)) {
        case 0:
            return gzipSync(Buffer.alloc(20 << 20));
        case 1:
            return body;
        case 2:
            return gzipSync(body).subarray(0, 12);
        default:
            return gzipSync(body);
    }
}

function chunked(chance: Chance, body: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let at = 0; at < body.length;) {
        const part = body.subarray(at, at + 1 + chance.below(50_000));
        const extension = chance.onceIn(10) ? ';name="x"' : '';
        parts.push(Buffer.from(`${part.length.toString(16)}${extension}\r\n`), part, Buffer.from('\r\n'));
        at += part.length;
    }
    parts.push(Buffer.from(chance.onceIn(10) ? '0\r\nX-Trailer: 1\r\n\r\n' : '0\r\n\r\n'));
    return Buffer.concat(parts);
}

/** Adds headers; whether one of them changes what belongs to the request. */
function addNastyHeaders(chance: Chance, headers: [string, string][]): boolean {
    let framing = false;
    for (let count = chance.onceIn(2) ? 1 + chance.below(4) : 0; count > 0; count--) {
        const name = chance.onceIn(12)
            ? chance.pick(['X-Junk', 'x'.repeat(200), '__proto__'])
            : chance.pick(Object.keys(HEADERS));
        const text = chance.onceIn(5)
            ? chance.text()
            : chance.pick(HEADERS[name] ?? ['x', 'é', 'x'.repeat(5000)]);
        headers.push([name, text]);
        // Control characters end a header, or the parser's patience.
        framing ||= ['Transfer-Encoding', 'Content-Length', 'Upgrade', 'Connection', 'Expect'].includes(name);
        framing ||= /[\0\r\n]/.test(text);
    }
    if (chance.onceIn(40)) {
        headers.push(...Array.from({ length: 300 }, (): [string, string] => ['X-Many', 'x'.repeat(100)]));
    }
    if (chance.onceIn(80)) {
        headers.push(['X-Huge', 'x'.repeat(100_000)]);
    }
    return framing;
}

/** Cut off, or with some bytes changed. */
function damaged(chance: Chance, bytes: Buffer): Buffer {
    if (chance.onceIn(3)) {
        return bytes.subarray(0, chance.below(bytes.length));
    }
    const copy = Buffer.from(bytes);
    for (let count = 1 + chance.below(5); count > 0; count--) {
        // Where the head is, for the most part.
        copy[chance.below(Math.min(copy.length, 400))] = chance.below(256);
    }
    return copy;
}
