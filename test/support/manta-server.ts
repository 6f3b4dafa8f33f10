/**
 * A small Manta of our own, on loopback: nothing else that speaks its protocol can be installed for tests. It keeps to
 * manta.md §2 to §4 and verifies signatures, digests, directories and conditions as Manta does.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MantaAccounts } from './manta-accounts';
import { MantaError } from './manta-error';
import { MantaObjects, type MantaLimits } from './manta-objects';
import { isRoot, MantaTree, type MantaEntry } from './manta-tree';

export interface MantaServerOptions {
    /** Public key lines of each account's login. */
    accounts: Record<string, readonly string[]>;
    /** The certificate for https. */
    tls?: { key: string; cert: string };
    limits?: Partial<MantaLimits>;
    /** By default a free one. */
    port?: number;
}

const DIRECTORY = 'application/x-json-stream; type=directory';
const MOST_ENTRIES = 1024;
const DEFAULT_ENTRIES = 256;

/** Answers a request itself and gives true, or gives false. */
export type MantaTrouble = (request: IncomingMessage, response: ServerResponse) => boolean;

export class MantaServer {
    readonly accounts: MantaAccounts;
    /** Requests in the order of their answers: method, path, status. */
    readonly requests: string[] = [];
    /** Meets each request before Manta does. */
    trouble: MantaTrouble | undefined;
    port = 0;
    /** How many connections were ever made. */
    accepted = 0;
    /** By how many ms its clock is ahead of ours. */
    clockAhead = 0;
    readonly #tree = new MantaTree();
    readonly #objects: MantaObjects;
    readonly #folder: string;
    readonly #tls: MantaServerOptions['tls'];
    #server: Server;
    readonly #sockets = new Set<Socket>();
    readonly #answering = new Set<Promise<void>>();

    private constructor(folder: string, { accounts, tls, limits = {} }: MantaServerOptions) {
        this.#folder = folder;
        this.#tls = tls;
        this.accounts = new MantaAccounts(accounts);
        this.#objects = new MantaObjects(this.#tree, folder, limits);
        this.#server = this.#create();
    }

    static async start(options: MantaServerOptions): Promise<MantaServer> {
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-manta-'));
        const server = new MantaServer(folder, options);
        server.port = options.port ?? 0;
        await server.resume();
        return server;
    }

    get url(): string {
        return `${this.#tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
    }

    /** Paths of all objects, sorted. */
    get objects(): string[] {
        return this.#tree.paths('object').sort();
    }

    /** Paths of all directories below the accounts' `stor`, sorted. */
    get directories(): string[] {
        return this.#tree.paths('directory').sort();
    }

    /** How many objects are arriving. */
    get arriving(): number {
        return this.#objects.arriving;
    }

    /** How many connections are open. */
    get connections(): number {
        return this.#sockets.size;
    }

    get limits(): MantaLimits {
        return this.#objects.limits;
    }

    /** The object under a path, with its bytes; undefined if there is none. */
    async object(path: string): Promise<{ contentType: string; bytes: Buffer } | undefined> {
        const entry = this.#tree.get(path);
        if (entry?.type !== 'object') {
            return undefined;
        }
        const { contentType, file } = entry;
        return {
            contentType,
            bytes: file === undefined ? Buffer.alloc(0) : await readFile(join(this.#folder, file)),
        };
    }

    /** Puts an empty object under a path, past the protocol. */
    plant(path: string): void {
        this.#objects.plant(path);
    }

    /** Changes the bytes of an object, as a failing disk does: what is known of it stays. */
    async damage(path: string): Promise<void> {
        const entry = this.#tree.get(path);
        if (entry?.type === 'object' && entry.file !== undefined) {
            await writeFile(join(this.#folder, entry.file), Buffer.alloc(entry.size));
        }
    }

    /** Takes an entry away, past the protocol. */
    remove(path: string): void {
        this.#tree.delete(path);
    }

    /** Stops listening and cuts every connection; what is stored stays, and nothing else. */
    async suspend(): Promise<void> {
        const server = this.#server;
        if (server.listening) {
            const closed = once(server, 'close');
            server.close();
            this.#sockets.forEach((socket) => socket.destroy());
            await closed;
        }
        await Promise.all(this.#answering);
    }

    /** Listens again, on the same port. */
    async resume(): Promise<void> {
        this.#server = this.#create();
        this.#server.listen(this.port, '127.0.0.1');
        await once(this.#server, 'listening');
        this.port = (this.#server.address() as AddressInfo).port;
    }

    async stop(): Promise<void> {
        await this.suspend();
        await rm(this.#folder, { recursive: true, force: true });
    }

    #create(): Server {
        const listener: RequestListener = (request, response) => {
            const answering = this.#answer(request, response).finally(() =>
                this.#answering.delete(answering),
            );
            this.#answering.add(answering);
        };
        const server = this.#tls ? https.createServer(this.#tls, listener) : http.createServer(listener);
        server.requestTimeout = 0;
        // With a listener for it, it is ours to say when the body may come.
        server.on('checkContinue', listener);
        server.on('connection', (socket: Socket) => {
            this.accepted++;
            this.#sockets.add(socket);
            socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
        });
        return server;
    }

    async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
        const { method = '', url = '' } = request;
        response.on('error', () => undefined);
        response.once('finish', () =>
            this.requests.push(`${method} ${decodeURI(url)} ${response.statusCode}`),
        );
        if (this.trouble?.(request, response) === true) {
            return;
        }
        response.setHeader('x-request-id', request.headers['x-request-id'] ?? randomUUID());
        response.setHeader('x-server-name', 'manta-stand-in');
        response.setHeader('date', new Date(Date.now() + this.clockAhead).toUTCString());
        try {
            await this.#handle(method, request, response);
        } catch (err) {
            this.#refuse(response, err, method === 'HEAD');
        }
    }

    #refuse(response: ServerResponse, err: unknown, isHead: boolean): void {
        if (response.headersSent || response.destroyed) {
            response.destroy();
            return;
        }
        const error = err instanceof MantaError ? err : new MantaError('InternalError', String(err));
        const body = JSON.stringify({ code: error.code, message: error.message });
        response
            .writeHead(error.status, { ...error.headers, 'content-type': 'application/json' })
            .end(isHead ? undefined : body);
    }

    async #handle(method: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
        const caller = this.accounts.caller(request, this.clockAhead);
        const { path, query } = parseTarget(request.url ?? '');
        if (path.split('/')[1] !== caller) {
            throw new MantaError('AuthorizationFailed', `${caller} is not allowed to access ${path}`);
        }
        switch (method) {
            case 'PUT':
                await this.#put(path, request, response);
                break;
            case 'GET':
            case 'HEAD':
                await this.#get(path, query, request, response);
                break;
            case 'DELETE':
                await this.#delete(path, request);
                response.writeHead(204).end();
                break;
            default:
                throw new MantaError('MethodNotAllowedError', `${method} is not allowed`);
        }
    }

    async #put(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
        const kind = /;\s*type=(directory|link)\s*$/.exec(request.headers['content-type'] ?? '')?.[1];
        if (kind === 'link') {
            throw new MantaError('SnaplinksDisabledError', 'snaplinks have been disabled');
        }
        if (isRoot(path)) {
            throw new MantaError('OperationNotAllowedOnRootDirectory', `PUT is not allowed on ${path}`);
        }
        if (kind === undefined) {
            await this.#objects.put(path, request, response);
            return;
        }
        this.#tree.assertParent(path);
        if (this.#tree.get(path)?.type !== 'directory') {
            this.#tree.put(path, { type: 'directory', mtime: new Date() });
        }
        response.writeHead(204).end();
    }

    async #get(
        path: string,
        query: URLSearchParams,
        request: IncomingMessage,
        response: ServerResponse,
    ): Promise<void> {
        const entry = this.#existing(path);
        if (entry.type === 'object') {
            await this.#objects.get(entry, request, response);
            return;
        }
        const limit = parseInt(query.get('limit') ?? String(DEFAULT_ENTRIES), 10);
        if (!(limit >= 1 && limit <= MOST_ENTRIES)) {
            throw new MantaError(
                'InvalidArgumentError',
                `limit=${limit} is invalid: must be between [1, 1024]`,
            );
        }
        const lines = this.#tree.list(path, query.get('marker') ?? '', limit).map(listed);
        response
            .writeHead(200, { 'content-type': DIRECTORY, 'result-set-size': this.#tree.count(path) })
            .end(request.method === 'HEAD' ? undefined : lines.join(''));
    }

    async #delete(path: string, request: IncomingMessage): Promise<void> {
        if (isRoot(path)) {
            throw new MantaError('OperationNotAllowedOnRootDirectory', `DELETE is not allowed on ${path}`);
        }
        const entry = this.#existing(path);
        if (entry.type === 'object') {
            await this.#objects.delete(path, entry, request);
            return;
        }
        if (this.#tree.count(path) > 0) {
            throw new MantaError('DirectoryNotEmpty', `${path} is not empty`);
        }
        this.#tree.delete(path);
    }

    #existing(path: string): MantaEntry {
        const entry = this.#tree.get(path);
        if (entry === undefined) {
            throw new MantaError('ResourceNotFound', `${path} was not found`);
        }
        return entry;
    }
}

/** A line of a listing. */
function listed([name, entry]: [string, MantaEntry]): string {
    const shown = {
        name,
        ...(entry.type === 'object' && {
            etag: entry.etag,
            size: entry.size,
            contentType: entry.contentType,
            contentMD5: entry.md5,
            durability: entry.durability,
        }),
        type: entry.type,
        mtime: entry.mtime.toISOString(),
    };
    return `${JSON.stringify(shown)}\n`;
}

/** @throws MantaError InvalidResource */
function parseTarget(target: string): { path: string; query: URLSearchParams } {
    const [encoded = '', query = ''] = target.split('?', 2);
    let path: string;
    try {
        path = encoded.replace(/\/+/g, '/').replace(/\/$/, '').split('/').map(decodeURIComponent).join('/');
    } catch {
        throw new MantaError('InvalidResource', `"${encoded}" is invalid`);
    }
    if (!/^\/[A-Za-z][\w.@-]*(\/(stor|public)(\/.*)?)?$/.test(path) || /\/\.{1,2}(\/|$)/.test(path)) {
        throw new MantaError('InvalidResource', `"${path}" is invalid`);
    }
    return { path, query: new URLSearchParams(query) };
}
