import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import {
    connect,
    createServer,
    type AddressInfo,
    type ListenOptions,
    type Server,
    type Socket,
} from 'node:net';
import { dirname } from 'node:path';
import type { Endpoint } from '../config/listen';
import { groupId } from './accounts';

/** How long a socket in the file system may take to show whether somebody listens on it, in ms. */
const PROBE_WITHIN = 2000;

type TcpEndpoint = Extract<Endpoint, { kind: 'tcp' }>;
type UnixEndpoint = Extract<Endpoint, { kind: 'unix' }>;

export interface EndpointOptions {
    /** Whose a socket in the file system is to be; by default this process's. */
    owner?: { uid: number; gid: number };
    onConnection: (socket: Socket) => void;
    /** Is told what goes wrong later, such as too many open files. */
    onError: (err: Error) => void;
}

/** One socket that is listened on. What it accepts is not read from, so that another process may take it over. */
export class EndpointServer {
    readonly #server: Server;
    #path: string | undefined;
    readonly #removePath = (): void => {
        if (this.#path !== undefined) {
            unlink(this.#path);
        }
    };

    private constructor(
        readonly endpoint: Endpoint,
        onConnection: (socket: Socket) => void,
    ) {
        this.#server = createServer(
            { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
            onConnection,
        );
    }

    /** Listens. @throws Error that says in one sentence where it cannot listen, why, and what to do */
    static async open(
        endpoint: Endpoint,
        { owner, onConnection, onError }: EndpointOptions,
    ): Promise<EndpointServer> {
        const one = new EndpointServer(endpoint, onConnection);
        switch (endpoint.kind) {
            case 'tcp':
                await one.#listen({ host: endpoint.host, port: endpoint.port }).catch((err: unknown) => {
                    throw tcpError(err as NodeJS.ErrnoException, endpoint);
                });
                break;
            case 'unix':
                await one.#listenUnix(endpoint, owner);
                break;
            case 'fd':
                await one.#listen({ fd: endpoint.fd }).catch((err: unknown) => {
                    throw new Error(
                        `Cannot listen on the file descriptor ${endpoint.fd}: it is no socket that was passed to this process.`,
                        { cause: err },
                    );
                });
                break;
        }
        one.#server.on('error', onError);
        return one;
    }

    /** @param options also the number of an open socket, which the types of Node.js leave out */
    #listen(options: ListenOptions & { fd?: number }): Promise<void> {
        return new Promise((resolve, reject) => {
            this.#server.once('error', reject).listen(options, () => {
                this.#server.off('error', reject);
                resolve();
            });
        });
    }

    async #listenUnix({ path, mode, group }: UnixEndpoint, owner: EndpointOptions['owner']): Promise<void> {
        try {
            mkdirSync(dirname(path), { recursive: true });
            if (isLeftOver(path) && !(await isListenedOn(path))) {
                unlink(path);
            }
            await this.#listen({ path });
            this.#path = path;
            process.once('exit', this.#removePath);
            const gid = group === undefined ? owner?.gid : groupId(group);
            if (owner !== undefined || gid !== undefined) {
                chownSync(path, owner?.uid ?? -1, gid ?? -1);
            }
            chmodSync(path, mode);
        } catch (err) {
            this.#server.close();
            throw unixError(err as NodeJS.ErrnoException, path);
        }
    }

    /** Where it listens; undefined if that is no address of IP. */
    get address(): AddressInfo | undefined {
        const address = this.#server.address();
        return typeof address === 'object' && address !== null && 'port' in address ? address : undefined;
    }

    /** Where it listens, such as `http://127.0.0.1:8080` or `unix:///run/imgapi.sock`. */
    get url(): string {
        const { address } = this;
        const { endpoint } = this;
        if (address) {
            const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
            return `${endpoint.secure ? 'https' : 'http'}://${host}:${address.port}`;
        }
        const path = this.#server.address();
        return typeof path === 'string'
            ? `unix://${path}`
            : `fd://${endpoint.kind === 'fd' ? endpoint.fd : ''}`;
    }

    /** Accepts nothing more; the connections that it has accepted stay. */
    close(): void {
        this.#server.close();
        process.off('exit', this.#removePath);
        this.#removePath();
        this.#path = undefined;
    }
}

function unlink(path: string): void {
    try {
        unlinkSync(path);
    } catch {
        // It is gone already.
    }
}

/** Whether a socket lies there. */
function isLeftOver(path: string): boolean {
    return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

function isListenedOn(path: string): Promise<boolean> {
    return new Promise((resolve) => {
        const probe = connect(path);
        const answer = (value: boolean) => () => {
            probe.destroy();
            resolve(value);
        };
        probe.once('connect', answer(true));
        probe.once('error', (err: NodeJS.ErrnoException) => answer(err.code !== 'ECONNREFUSED')());
        probe.setTimeout(PROBE_WITHIN, answer(true));
    });
}

/** Why the server cannot listen, and what to do about it; the usual reasons in words. */
function tcpError(err: NodeJS.ErrnoException, { host, port, secure }: TcpEndpoint): Error {
    const keys = secure ? { port: 'tls.port', host: 'tls.host' } : { port: 'port', host: 'address' };
    const reasons: Record<string, string> = {
        EADDRINUSE: `another program listens there; stop it, or set another "${keys.port}"`,
        EADDRNOTAVAIL: `this machine does not have that address; set another "${keys.host}"`,
        EACCES: `this user may not use that port; set a "${keys.port}" of 1024 or above`,
        ENOTFOUND: `that name has no address; set another "${keys.host}"`,
    };
    const reason = reasons[err.code ?? ''];
    return reason === undefined
        ? err
        : Object.assign(new Error(`Cannot listen on ${host}:${port}: ${reason}.`, { cause: err }), {
              code: err.code,
          });
}

function unixError(err: NodeJS.ErrnoException, path: string): Error {
    const reasons: Record<string, string> = {
        EADDRINUSE:
            'another program listens there, or it is no socket; stop it, or set another "listen.socketPath"',
        EACCES: 'this user may not write there; set another "listen.socketPath"',
        ENOTDIR: 'its folder is a file; set another "listen.socketPath"',
        EINVAL: 'the path is too long; set a shorter "listen.socketPath"',
    };
    return Object.assign(
        new Error(`Cannot listen on the socket ${path}: ${reasons[err.code ?? ''] ?? err.message}.`, {
            cause: err,
        }),
        { code: err.code },
    );
}
