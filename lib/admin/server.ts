/** The running server, as a client: found by the configuration, its requests signed where it asks for that. */
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { endpointsOf } from '../config/listen';
import type { Flag } from '../config/options';
import type { Config } from '../config/types';
import { chooseAlgorithm, type Algorithm } from '../signing/algorithms';
import { findSigner } from '../signing/find';
import { authorization, REQUEST_TARGET } from '../signing/request';
import { describeKey, type Signer } from '../signing/signer';
import { VERSION } from '../version';
import { CommandFailure, UsageError, type CommandContext } from './command';

/** What commands that talk to the server take. */
export const SERVER_FLAGS: readonly Flag[] = [
    { name: 'url', value: 'URL', help: 'the server, by default where the configuration has it listen' },
    {
        name: 'user',
        short: 'u',
        value: 'USER',
        help: 'sign as this user (default: IMGAPI_CLI_USER); only for authType "signature"',
    },
    {
        name: 'identity',
        short: 'i',
        value: 'KEY',
        help: 'sign with this key, a file or one of ssh-agent (default: IMGAPI_CLI_IDENTITY)',
    },
    { name: 'algorithm', short: 'a', value: 'NAME', help: 'signature algorithm, see imgapi-sign --help' },
];

/** Larger answers than errors have are not read for one. */
const MOST_ERROR_BYTES = 64 * 1024;

interface Credentials {
    readonly user: string;
    readonly signer: Signer;
    readonly algorithm: Algorithm;
}

/** The server has answered with an error. */
export class ServerError extends CommandFailure {
    constructor(
        readonly status: number,
        /** Of the error table; '' if the answer is not from this server. */
        readonly code: string,
        readonly text: string,
    ) {
        super(`The server answered ${[status, code].join(' ').trim()}: ${text}`);
    }
}

/**
 * Where the server listens, from the same machine: by HTTP if it does, or else by HTTPS.
 * @throws CommandFailure if that is nowhere that the configuration tells
 */
export function serverUrl(config: Pick<Config, 'address' | 'port' | 'listen' | 'tls'>): string {
    const endpoints = endpointsOf(config, []).flatMap((one) => (one.kind === 'tcp' ? [one] : []));
    const endpoint = endpoints.find(({ secure }) => !secure) ?? endpoints[0];
    if (!endpoint) {
        throw new CommandFailure('config.listen.schemes has neither "http" nor "https": give --url.');
    }
    const { secure, host: address, port } = endpoint;
    if (port === 0) {
        const key = secure ? 'config.tls.port' : 'config.port';
        throw new CommandFailure(`${key} is 0, so nobody knows the port of the server: give --url.`);
    }
    const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
    return `${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function givenUrl(text: string): string {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search !== '') {
        throw new UsageError(`--url is "${text}"; it has to be one such as https://images.example.com.`);
    }
    return url.origin;
}

async function readCredentials({ flags, environment }: CommandContext): Promise<Credentials> {
    const user = flags.get('user') ?? environment.IMGAPI_CLI_USER ?? '';
    if (user === '') {
        throw new UsageError('The server asks for signatures: give -u USER, or set IMGAPI_CLI_USER.');
    }
    if (!/^[\x20-\x7e]+$/.test(user) || user.includes('"')) {
        throw new UsageError(
            `The user is ${JSON.stringify(user)}; a signature can carry printable ASCII only, and no ".`,
        );
    }
    const identity = flags.get('identity') ?? environment.IMGAPI_CLI_IDENTITY;
    const agent = environment.SSH_AUTH_SOCK;
    const signer = await findSigner(identity === '' ? undefined : identity, {
        agent: agent === '' ? undefined : agent,
        folder: join(homedir(), '.ssh'),
    });
    return {
        user,
        signer,
        algorithm: chooseAlgorithm(signer.algorithms, flags.get('algorithm'), describeKey(signer.key)),
    };
}

export class Server {
    private constructor(
        readonly url: string,
        private readonly credentials: Credentials | undefined,
    ) {}

    /** The server of the configuration; it is not asked anything yet. @throws UsageError, SigningError, CommandFailure */
    static async find(context: CommandContext): Promise<Server> {
        const { config, flags } = context;
        const given = flags.get('url');
        const url = given === undefined ? serverUrl(config) : givenUrl(given);
        return new Server(url, config.authType === 'signature' ? await readCredentials(context) : undefined);
    }

    /**
     * Sends a request without a body; gives the answer, whose body is to be read. It may take as long as it takes.
     *
     * @param target path and query, as they are sent
     * @throws CommandFailure if the server cannot be reached, ServerError for an answer that is no success
     */
    async request(method: 'GET' | 'POST', target: string): Promise<http.IncomingMessage> {
        const headers = await this.#headers(method, target);
        const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
            const { request } = this.url.startsWith('https:') ? https : http;
            request(new URL(target, this.url), { method, headers, agent: false })
                .once('error', (error: NodeJS.ErrnoException) =>
                    reject(
                        new CommandFailure(
                            `The server at ${this.url} cannot be reached (${error.code ?? error.message}). Does it run?`,
                        ),
                    ),
                )
                .once('response', resolve)
                .end();
        });
        const { statusCode: status = 0 } = response;
        if (status >= 300) {
            throw await readError(status, response);
        }
        return response;
    }

    /** Like {@link request}, for an answer of JSON. */
    async json(method: 'GET' | 'POST', target: string): Promise<unknown> {
        const response = await this.request(method, target);
        try {
            return JSON.parse(await readText(response, Infinity)) as unknown;
        } catch (error) {
            throw new CommandFailure(`The answer of the server at ${this.url} is cut off.`, { cause: error });
        }
    }

    /** All of them are signed, so that whatever the server asks for is. */
    async #headers(method: string, target: string): Promise<Record<string, string>> {
        const headers: Record<string, string> = {
            date: new Date().toUTCString(),
            host: new URL(this.url).host,
            accept: 'application/json',
            'accept-version': '~2',
            'user-agent': `imgapiadm/${VERSION}`,
            // No two signatures are alike, for servers that take each once.
            'x-nonce': randomUUID(),
            ...(method === 'POST' && { 'content-length': '0' }),
        };
        if (!this.credentials) {
            return headers;
        }
        const { user, signer, algorithm } = this.credentials;
        const request = {
            names: ['date', REQUEST_TARGET, ...Object.keys(headers).filter((name) => name !== 'date')],
            headers: new Map(Object.entries(headers)),
            method,
            target,
        };
        return {
            ...headers,
            authorization: await authorization(signer, { keyId: user, algorithm, request }),
        };
    }
}

async function readText(response: http.IncomingMessage, most: number): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > most) {
            break;
        }
    }
    return Buffer.concat(chunks).toString();
}

async function readError(status: number, response: http.IncomingMessage): Promise<ServerError> {
    const text = await readText(response, MOST_ERROR_BYTES).catch(() => '');
    try {
        const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
        if (typeof code === 'string' && typeof message === 'string') {
            return new ServerError(status, code, message);
        }
    } catch {
        // It is not from this server, but from something before it.
    }
    return new ServerError(status, '', http.STATUS_CODES[status] ?? 'no reason given');
}
