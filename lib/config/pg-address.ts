/** Where PostgreSQL is, from either form of `config.moray.pg`. */
import type { PgConfig } from './types';

/** A host name or IPv4 address, or an IPv6 address in brackets, and perhaps a port. */
export const HOST = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/;
const DEFAULT_PORT = 5432;

export interface PgHost {
    /** As it is shown: `host:port`. */
    readonly name: string;
    readonly host: string;
    readonly port: number;
}

export interface PgAddress {
    readonly hosts: readonly PgHost[];
    readonly user: string;
    readonly password: string;
    readonly database: string;
    readonly ssl: NonNullable<PgConfig['ssl']>;
}

/** What is wrong with an address, without the address: it may hold a password. */
export class PgAddressError extends Error {
    override readonly name = 'PgAddressError';
}

/** @throws PgAddressError */
export function pgAddress(config: Omit<PgConfig, 'pool'>): PgAddress {
    const { connectionString, hosts = [], ssl = false } = config;
    if (connectionString !== undefined) {
        const address = parseUrl(connectionString);
        return config.ssl === undefined ? address : { ...address, ssl };
    }
    const { user = 'moray', password = '', database = 'moray' } = config;
    return { hosts: hosts.map(parseHost), user, password, database, ssl };
}

function parseHost(text: string): PgHost {
    const [, host = '', port = String(DEFAULT_PORT)] = HOST.exec(text) ?? [];
    const number = Number(port);
    if (host === '' || number < 1 || number > 65_535) {
        throw new PgAddressError(`has "${text}", whose port is none from 1 to 65535`);
    }
    return { name: `${host}:${number}`, host: host.replace(/^\[|\]$/g, ''), port: number };
}

const URL_PARTS = /^postgres(?:ql)?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i;

/** Other than `URL`, it takes several hosts. */
function parseUrl(url: string): PgAddress {
    const parts = URL_PARTS.exec(url);
    if (!parts) {
        throw new PgAddressError('must be a URL such as "postgres://moray:PASSWORD@db.example.com/moray"');
    }
    const [, authority = '', database = '', query = ''] = parts;
    // The first: where the configuration is shown without passwords, they end there.
    const at = authority.indexOf('@');
    const [user = '', ...password] = authority.slice(0, Math.max(at, 0)).split(':');
    // In a URL that is cut at the wrong place, the "host" may be a part of the password.
    const hosts = authority.slice(at + 1).split(',');
    if (!hosts.every((host) => HOST.test(host))) {
        throw new PgAddressError(
            'must name hosts such as "a:5432,b:5432" before the database; in a user name or password, the characters ' +
                '/ ? # @ and % have to be written as %2F %3F %23 %40 and %25',
        );
    }
    return {
        hosts: hosts.map(parseHost),
        user: decode(user) || 'moray',
        password: decode(password.join(':')),
        database: decode(database) || 'moray',
        ssl: sslOf(new URLSearchParams(query)),
    };
}

function decode(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        throw new PgAddressError('has a "%" that is not followed by two hexadecimal digits; write it as %25');
    }
}

/** What is asked for and not understood is refused: it may be meant to keep a connection safe. */
function sslOf(parameters: URLSearchParams): PgAddress['ssl'] {
    const ca = parameters.get('sslrootcert');
    let ssl: PgAddress['ssl'] = ca === null ? false : { ca };
    for (const [name, value] of parameters) {
        const setting = `${name}=${value}`;
        if (setting === 'sslmode=disable') {
            ssl = false;
        } else if (setting === 'sslmode=require') {
            ssl = ca === null ? { rejectUnauthorized: false } : { ca };
        } else if (setting === 'sslmode=no-verify') {
            ssl = { rejectUnauthorized: false };
        } else if (setting === 'sslmode=verify-full') {
            ssl = ca === null ? true : { ca };
        } else if (name !== 'sslrootcert' && !/^target_session_attrs=(read-write|primary)$/.test(setting)) {
            throw new PgAddressError(
                `has the parameter "${name}" with a value that is not supported; there are sslmode=disable, require, ` +
                    'no-verify or verify-full, and sslrootcert=PATH',
            );
        }
    }
    return ssl;
}
