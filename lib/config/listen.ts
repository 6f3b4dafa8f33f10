/** Where the server listens (daemon.md §1): the block `listen` of the configuration, and what follows from it. */
import { isIP } from 'node:net';
import { join } from 'node:path';
import { oneOf, text, type KeySchema } from './key-schema';
import type { Config, ListenConfig } from './types';

/** `fd` means sockets that a service manager passes to the server. */
export const SCHEMES = ['http', 'https', 'unix', 'fd'] as const;

export const listenBlock: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object',
    properties: {
        schemes: {
            type: 'array',
            minItems: 1,
            items: oneOf(SCHEMES),
            default: ['http'],
            expected: `an array of at least one of ${SCHEMES.map((scheme) => `"${scheme}"`).join(', ')}`,
            description:
                'How to listen, all of them at once: `http` at `address` and `port`, `https` as `tls` says, `unix` at ' +
                '`listen.socketPath`, `fd` on the sockets that a service manager passes to the server. Where sockets ' +
                'are passed and `fd` is not listed, they take the place of all that is.',
        },
        socketPath: {
            type: 'string',
            pattern: '^/',
            expected: 'an absolute path',
            description:
                'The socket in the file system. Absent: `/run/imgapi/imgapi.sock` for root, ' +
                '`$XDG_RUNTIME_DIR/imgapi/imgapi.sock` for anybody else.',
        },
        socketMode: {
            type: 'string',
            pattern: '^0?[0-7]{3}$',
            default: '0660',
            expected: 'permissions in octal such as "0660"',
            description: 'Permissions of that socket: whoever may write to it may use the server.',
        },
        socketGroup: text('the name of a group', 'Group of that socket. Absent: that of the server.'),
    },
};

/** A socket that is listened on already, by its number in this process. */
export interface PassedSocket {
    readonly fd: number;
    /** As whoever passed it calls it; by the name `https` it is one for TLS. */
    readonly name?: string;
}

/** Something to listen on. */
export type Endpoint = { readonly secure: boolean } & (
    | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
    | { readonly kind: 'unix'; readonly path: string; readonly mode: number; readonly group?: string }
    | ({ readonly kind: 'fd' } & PassedSocket)
);

/**
 * Where to listen.
 *
 * @param passed sockets that were passed to this process. They take the place of all else, unless the configuration
 *   asks for them beside it
 */
export function endpointsOf(
    { address, port, listen, tls }: Pick<Config, 'address' | 'port' | 'listen' | 'tls'>,
    passed: readonly PassedSocket[],
): Endpoint[] {
    const schemes = passed.length > 0 && !listen.schemes.includes('fd') ? ['fd'] : listen.schemes;
    return [...new Set(schemes)].flatMap((scheme): Endpoint[] => {
        switch (scheme) {
            case 'http':
                return [{ kind: 'tcp', secure: false, host: address, port }];
            case 'https':
                return [{ kind: 'tcp', secure: true, host: tls.host ?? address, port: tls.port }];
            case 'unix':
                return [unixEndpoint(listen)];
            default:
                return passed.map((socket) => ({ kind: 'fd', secure: socket.name === 'https', ...socket }));
        }
    });
}

function unixEndpoint({ socketPath, socketMode, socketGroup }: ListenConfig): Endpoint {
    return {
        kind: 'unix',
        secure: false,
        path: socketPath ?? defaultSocketPath() ?? '',
        mode: parseInt(socketMode, 8),
        ...(socketGroup !== undefined && { group: socketGroup }),
    };
}

function defaultSocketPath(): string | undefined {
    if (process.getuid?.() === 0) {
        return '/run/imgapi/imgapi.sock';
    }
    const folder = process.env.XDG_RUNTIME_DIR;
    return folder === undefined || folder === '' ? undefined : join(folder, 'imgapi', 'imgapi.sock');
}

/** The reason against a block of the right shape, or undefined. */
export function checkListen({ schemes, socketPath }: ListenConfig): string | undefined {
    return schemes.includes('unix') && (socketPath ?? defaultSocketPath()) === undefined
        ? 'config.listen.socketPath is missing; config.listen.schemes lists "unix", and there is no XDG_RUNTIME_DIR in the environment to put the socket into'
        : undefined;
}

/** A place that the command line names. */
export interface Target {
    /** The keys that it sets. */
    readonly settings: Readonly<Record<string, unknown>>;
    /** A socket that is open already. */
    readonly fd?: number;
}

export const TARGET_FORMS = 'unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or fd://NUMBER';

/** Reads `[URI]` of the command line; undefined if it is none of {@link TARGET_FORMS}. */
export function parseTarget(uri: string): Target | undefined {
    const [, scheme, rest = ''] = /^([a-z]+):\/\/(.+)$/.exec(uri) ?? [];
    if (scheme === 'unix') {
        return rest.startsWith('/') && rest.length > 1
            ? { settings: { 'listen.schemes': ['unix'], 'listen.socketPath': rest } }
            : undefined;
    }
    if (scheme === 'fd') {
        return /^\d{1,9}$/.test(rest)
            ? { settings: { 'listen.schemes': ['fd'] }, fd: Number(rest) }
            : undefined;
    }
    const [, bracketed, plain, digits] = /^(?:\[([^[\]]+)\]|([^:/?#@[\]]+)):(\d{1,5})\/?$/.exec(rest) ?? [];
    const host = bracketed ?? plain;
    const port = Number(digits);
    if (host === undefined || port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
        return undefined;
    }
    switch (scheme) {
        case 'tcp':
        case 'http':
            return { settings: { 'listen.schemes': ['http'], address: host, port } };
        case 'https':
            return { settings: { 'listen.schemes': ['https'], 'tls.host': host, 'tls.port': port } };
        default:
            return undefined;
    }
}
