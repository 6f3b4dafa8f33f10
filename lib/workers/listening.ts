import type { Socket } from 'node:net';
import type { Endpoint } from '../config/listen';
import { isLoopback } from '../config/loopback';
import { mayBeOpen } from '../config/rules';
import type { Config } from '../config/types';
import { EndpointServer } from './endpoint-server';

/** Serves a connection from which nothing was read yet. @param secure it speaks TLS */
export type Serve = (socket: Socket, secure: boolean) => void;

/** Whose sockets in the file system are to be. */
export interface Owner {
    readonly uid: number;
    readonly gid: number;
}

/** What is listened on beside the old places, until one of the two is given up. */
export interface ListeningChange {
    /** Listens at the new places only. False if it does already, or always did. */
    commit(): boolean;
    /** Listens at the old places only. */
    undo(): void;
}

const placeOf = (endpoint: Endpoint): string => {
    switch (endpoint.kind) {
        case 'tcp':
            return `${endpoint.secure ? 'tls' : 'tcp'} ${endpoint.host} ${endpoint.port}`;
        case 'unix':
            return `unix ${endpoint.path}`;
        case 'fd':
            return `fd ${endpoint.fd}`;
    }
};

/** All that the server listens on. Connections that come before there is somebody to serve them wait. */
export class Listening {
    #servers = new Map<string, EndpointServer>();
    readonly #early: { socket: Socket; secure: boolean }[] = [];
    #serve: Serve | undefined;

    /** @param onError is told what goes wrong at a place where it listens, such as too many open files */
    constructor(
        private readonly onError: (err: Error) => void,
        private readonly owner?: Owner,
    ) {}

    /** Listens at all places, or at none. @throws Error that says where it cannot listen, why, and what to do */
    async open(endpoints: readonly Endpoint[], config: Config): Promise<void> {
        (await this.change(endpoints, config)).commit();
    }

    /** Listens at new places beside those there are. @throws Error as `open`; nothing has changed then */
    async change(endpoints: readonly Endpoint[], config: Config): Promise<ListeningChange> {
        const former = this.#servers;
        const next = new Map<string, EndpointServer>();
        const added: EndpointServer[] = [];
        const undo = () => added.forEach((server) => server.close());
        try {
            if (endpoints.length === 0) {
                throw new Error(
                    'There is nothing to listen on: the scheme "fd" needs sockets that a service manager passes, and none were.',
                );
            }
            for (const endpoint of endpoints) {
                const place = placeOf(endpoint);
                const known = former.get(place);
                next.set(place, known ?? (await this.#openOne(endpoint, config, added)));
            }
        } catch (err) {
            undo();
            throw err;
        }
        return {
            commit: () => {
                if (this.#servers === next) {
                    return false;
                }
                this.#servers = next;
                const gone = [...former].filter(([place, server]) => next.get(place) !== server);
                gone.forEach(([, server]) => server.close());
                return gone.length > 0 || added.length > 0;
            },
            undo,
        };
    }

    async #openOne(endpoint: Endpoint, config: Config, added: EndpointServer[]): Promise<EndpointServer> {
        const { secure } = endpoint;
        const { limits, tls } = config;
        const keepAlive = secure ? (tls.keepAlive ?? limits.tcpKeepAlive) : limits.tcpKeepAlive;
        const server = await EndpointServer.open(endpoint, {
            ...(this.owner && { owner: this.owner }),
            onConnection: (socket) => {
                if (keepAlive > 0) {
                    socket.setKeepAlive(true, keepAlive);
                }
                this.#accepted(socket, secure);
            },
            onError: this.onError,
        });
        added.push(server);
        const { address } = server;
        if (endpoint.kind === 'fd' && address && !isLoopback(address.address) && !mayBeOpen(config)) {
            throw new Error(
                `config.authType is "none" while the socket that was passed as file descriptor ${endpoint.fd} listens ` +
                    `on ${address.address}: whoever reaches that address could change and delete images; set authType ` +
                    'to "signature", or say "permitInsecure": true if that is wanted',
            );
        }
        return server;
    }

    #accepted(socket: Socket, secure: boolean): void {
        if (this.#serve) {
            this.#serve(socket, secure);
        } else {
            this.#early.push({ socket, secure });
        }
    }

    /** Has connections served from now on, beginning with those that wait. */
    start(serve: Serve): void {
        this.#serve = serve;
        this.#early.splice(0).forEach(({ socket, secure }) => serve(socket, secure));
    }

    /** Where it listens, as URLs. */
    get urls(): string[] {
        return [...this.#servers.values()].map(({ url }) => url);
    }

    /** The first port of TCP; undefined if there is none. */
    get port(): number | undefined {
        return [...this.#servers.values()].find(({ address }) => address)?.address?.port;
    }

    /** Accepts nothing more. */
    close(): void {
        this.#servers.forEach((server) => server.close());
        this.#servers = new Map();
        this.#early.splice(0).forEach(({ socket }) => socket.destroy());
    }
}
