/** A client for API tests: it sends requests exactly as they are written, and knows the steps that many tests share. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import http from 'node:http';
import { hostname } from 'node:os';
import type { FieldError } from '../../lib/errors';
import { assertDocumented } from './documented';

/** The manifest of an image, as served. */
export interface Manifest {
    v: number;
    uuid: string;
    owner: string;
    name: string;
    version: string;
    state: string;
    disabled: boolean;
    public: boolean;
    published_at?: string;
    type: string;
    os: string;
    files: { sha1: string; size: number; compression: string; dataset_guid?: string; stor?: string }[];
    acl?: string[];
    icon?: boolean;
    channels?: string[];
    [key: string]: unknown;
}

export interface ErrorBody {
    code: string;
    message: string;
    errors?: FieldError[];
}

export type RequestHeaders = Record<string, string | string[]>;

export interface RequestContent {
    headers?: RequestHeaders | undefined;
    /** Bytes are sent with their Content-Length, an iterable is sent chunked. */
    body?: Buffer | string | AsyncIterable<Buffer> | undefined;
}

/** An answer with the whole body. */
export class Answer {
    constructor(
        readonly status: number,
        readonly headers: http.IncomingHttpHeaders,
        readonly rawHeaders: readonly string[],
        readonly body: Buffer,
    ) {}

    get text(): string {
        return this.body.toString();
    }
    get json(): unknown {
        return JSON.parse(this.text) as unknown;
    }
    get manifest(): Manifest {
        assert.equal(this.status, 200, this.text);
        return this.json as Manifest;
    }
    get manifests(): Manifest[] {
        assert.equal(this.status, 200, this.text);
        return this.json as Manifest[];
    }
    /** Uuids of a list, in its order. */
    get uuids(): string[] {
        return this.manifests.map(({ uuid }) => uuid);
    }
    get error(): ErrorBody {
        return this.json as ErrorBody;
    }
}

// Idle sockets of the agent do not keep the process alive.
const agent = new http.Agent({ keepAlive: true });

/**
 * Sends one request.
 *
 * @throws Error if the connection breaks before the answer is complete
 * @throws AssertionError if the answer is not one that the reference tells of
 */
export async function send(
    url: string,
    method: string,
    path: string,
    content: RequestContent = {},
): Promise<Answer> {
    const answer = await exchange(url, method, path, content);
    assertDocumented(method, path, answer);
    return answer;
}

function exchange(
    url: string,
    method: string,
    path: string,
    { headers = {}, body }: RequestContent,
): Promise<Answer> {
    const { hostname: host, port } = new URL(url);
    return new Promise((resolve, reject) => {
        const length =
            typeof body === 'string' || Buffer.isBuffer(body)
                ? { 'content-length': String(Buffer.byteLength(body)) }
                : {};
        const req = http.request({ host, port, method, path, agent, headers: { ...length, ...headers } });
        req.once('error', reject).once('response', (res) => {
            const chunks: Buffer[] = [];
            res.on('data', (chunk: Buffer) => chunks.push(chunk))
                .once('error', reject)
                .once('end', () =>
                    resolve(
                        new Answer(res.statusCode ?? 0, res.headers, res.rawHeaders, Buffer.concat(chunks)),
                    ),
                );
        });
        if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
            req.end(body);
        } else {
            void writeAll(req, body);
        }
    });
}

async function writeAll(req: http.ClientRequest, chunks: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of chunks) {
        if (req.destroyed) {
            return;
        }
        req.write(chunk);
    }
    req.end();
}

export const OWNER = '930896af-bf8c-48d4-885c-6573a94b1853';
export const OTHER = 'a6ae17f1-3d2c-4f0f-8a05-2b8c0f4a7f11';
export const STRANGER = 'c7ae17f1-3d2c-4f0f-8a05-2b8c0f4a7f12';

/** The smallest body that CreateImage takes on a public server. */
export const MANIFEST = {
    name: 'base',
    version: '1.0.0',
    type: 'zone-dataset',
    os: 'smartos',
    public: true,
    owner: OWNER,
};

export const FILE = Buffer.from('the bytes of a file, twice the bytes of a file\n');
/** A PNG as far as its first bytes go; nobody looks further. */
export const ICON = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

export const sha1 = (bytes: Buffer | string): string => createHash('sha1').update(bytes).digest('hex');
export const md5 = (bytes: Buffer | string): string => createHash('md5').update(bytes).digest('base64');

/** Where an image is found. */
export const at = (uuid: string, rest = ''): string => `/images/${uuid}${rest}`;

/** Uuid of no image. */
export const UNKNOWN = '00000000-1111-4222-8333-444444444444';

/** The requests of one caller to one server. */
export class Client {
    /** @param credentials headers that go with every request, made anew for each */
    constructor(
        readonly url: string,
        private readonly credentials: () => Record<string, string> = () => ({}),
    ) {}

    request(method: string, path: string, { headers, body }: RequestContent = {}): Promise<Answer> {
        return send(this.url, method, path, { headers: { ...this.credentials(), ...headers }, body });
    }

    get(path: string, headers?: RequestHeaders): Promise<Answer> {
        return this.request('GET', path, { headers });
    }

    head(path: string, headers?: RequestHeaders): Promise<Answer> {
        return this.request('HEAD', path, { headers });
    }

    delete(path: string, headers?: RequestHeaders): Promise<Answer> {
        return this.request('DELETE', path, { headers });
    }

    /** With a JSON body; undefined for none. */
    post(path: string, json?: unknown, headers?: RequestHeaders): Promise<Answer> {
        return json === undefined
            ? this.request('POST', path, { headers })
            : this.request('POST', path, {
                  headers: { 'content-type': 'application/json', ...headers },
                  body: JSON.stringify(json),
              });
    }

    put(path: string, body: RequestContent['body'], headers?: RequestHeaders): Promise<Answer> {
        return this.request('PUT', path, { headers, body });
    }

    action(uuid: string, action: string, json: unknown = {}, headers?: RequestHeaders): Promise<Answer> {
        return this.post(at(uuid, `?action=${action}`), json, headers);
    }

    /** Creates an image, unactivated and without a file. */
    async create(fields: Record<string, unknown> = {}): Promise<Manifest> {
        return (await this.post('/images', { ...MANIFEST, ...fields })).manifest;
    }

    async upload(uuid: string, bytes: Buffer = FILE, query = 'compression=none'): Promise<Manifest> {
        return (await this.put(at(uuid, `/file?${query}`), bytes)).manifest;
    }

    async uploadIcon(uuid: string, bytes: Buffer = ICON): Promise<Manifest> {
        return (await this.put(at(uuid, '/icon'), bytes, { 'content-type': 'image/png' })).manifest;
    }

    /** Creates an image that is active, with {@link FILE} or other bytes. */
    async createActive(fields: Record<string, unknown> = {}, bytes: Buffer = FILE): Promise<Manifest> {
        const { uuid } = await this.create(fields);
        await this.upload(uuid, bytes);
        return (await this.action(uuid, 'activate')).manifest;
    }
}

/**
 * The answer is the error: status, code, and the fields it is about (`name:code`, messages left out; none means that
 * there is no `errors`), in JSON of the form every error has (endpoints.md §1.4).
 */
export function assertError(answer: Answer, status: number, code: string, ...fields: string[]): void {
    assert.deepEqual(
        { status: answer.status, code: answer.error.code },
        { status, code },
        `${answer.status} ${answer.text}`,
    );
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.ok(answer.error.message.length > 0, 'an error says something');
    assert.deepEqual(
        answer.error.errors?.map((error) => `${error.field}:${error.code}`),
        fields.length === 0 ? undefined : fields,
        answer.text,
    );
    assertServerHeaders(answer.headers);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The five headers that every answer has (endpoints.md §1.1), and none of those that no answer has. */
export function assertServerHeaders(headers: http.IncomingHttpHeaders, requestId?: string): void {
    assert.ok(
        Math.abs(Date.parse(headers.date ?? '') - Date.now()) < 60_000,
        `Date: ${String(headers.date)}`,
    );
    assert.match(String(headers.server), /^IMGAPI\/\d+\.\d+\.\d+$/);
    assert.match(String(headers['x-response-time']), /^\d+$/);
    assert.equal(headers['x-server-name'], hostname());
    if (requestId === undefined) {
        assert.match(String(headers['x-request-id']), UUID);
    } else {
        assert.equal(headers['x-request-id'], requestId);
    }
    for (const name of ['api-version', 'response-time', 'access-control-allow-origin', 'www-authenticate']) {
        assert.equal(headers[name], undefined, name);
    }
}

export const newUuid = (): string => randomUUID();
