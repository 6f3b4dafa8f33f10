/** The block `moray` of the configuration: manifests in the PostgreSQL database of Moray (moray.md §1, §5). */
import { flag, port, reserved, text, time, type KeySchema } from './key-schema';
import { HOST, PgAddressError, pgAddress } from './pg-address';
import type { MorayConfig, PgConfig } from './types';

/** How a config that addresses Moray's own service learns what it lacks. */
const HOW_TO_GIVE =
    'give "pg": {"hosts": ["HOST:5432"], "user": "moray", "password": "…", "database": "moray"}, or ' +
    '"pg": {"connectionString": "postgres://…"}';

const pool: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object',
    properties: {
        size: {
            type: 'integer',
            minimum: 2,
            maximum: 1000,
            default: 10,
            expected: 'a whole number from 2 to 1000',
            description: 'Most connections of one process.',
        },
        connectTimeout: time(
            3000,
            'Within this a connection has to stand, or one has to come free when all are in use.',
        ),
        statementTimeout: time(20_000, 'Within this the database has to have run a statement.'),
        idleTimeout: time(60_000, 'A connection that nobody has used for this long is closed.'),
        recheckInterval: time(
            500,
            'While no host is the primary: how long to wait before all of them are asked again, at first; up to ten ' +
                'times as long later.',
        ),
    },
};

const pg: KeySchema = {
    type: 'object',
    expected: 'an object with "hosts" or "connectionString"',
    properties: {
        connectionString: text(
            'a URL of PostgreSQL',
            'URL such as `postgres://moray:PASSWORD@db.example.com/moray`, in place of the keys below. Several hosts are ' +
                'given as `postgres://moray@a:5432,b:5432/moray`.',
        ),
        hosts: {
            type: 'array',
            minItems: 1,
            maxItems: 16,
            items: {
                type: 'string',
                pattern: HOST.source,
                expected: 'a host, with its port if that is not 5432, such as "10.0.0.5:5432"',
            },
            expected: 'an array of at least one host such as "10.0.0.5:5432"',
            description:
                'Servers of the database: the primary and those that may take its place. The one that takes writes is used.',
        },
        user: text('the name of a role', 'Role that owns the tables. Absent: `moray`.'),
        password: text('a password', 'Its password. It is never logged.'),
        database: text('the name of a database', 'Absent: `moray`.'),
        ssl: {
            type: ['boolean', 'object'],
            expected: 'true, false, or an object with "ca"',
            description:
                'Whether to speak TLS. `true` verifies the certificate and the host name; an object says with what: ' +
                '`ca` (path of PEM certificates), `rejectUnauthorized: false` for no verification. Absent: no TLS.',
            properties: {
                ca: text('an absolute path', 'Path of PEM certificates.'),
                rejectUnauthorized: flag('Whether to verify the certificate.'),
            },
        },
        pool,
    },
};

export const morayBlock: KeySchema = {
    type: 'object',
    expected: 'an object with "pg"',
    properties: {
        pg: {
            ...pg,
            description:
                'How to reach the database; required if `databaseType` is `moray`. The servers of one database may be any ' +
                'number, beside Moray itself.',
        },
        host: reserved(
            text(
                'a host name or IP address',
                'Host of the Moray service. It is not asked: the database behind it is.',
            ),
        ),
        port: reserved(port('Port of the Moray service.')),
        connectTimeout: reserved({
            type: 'number',
            exclusiveMinimum: 0,
            expected: 'a number of ms above 0',
            description: 'How long one attempt to connect to the Moray service may take, in ms.',
        }),
        retry: reserved({
            type: ['object', 'boolean'],
            not: { const: true },
            expected: 'false, or an object with "minTimeout" and "maxTimeout" in ms',
            description: 'How to try again when the connection to the Moray service is lost.',
        }),
    },
};

/** The reason against a block of the right shape that is to be used, or undefined. */
export function checkMoray(config: MorayConfig | undefined): string | undefined {
    if (config === undefined) {
        return `config.moray is missing; config.databaseType "moray" needs it to be an object with "pg": ${HOW_TO_GIVE}`;
    }
    if (config.pg === undefined) {
        return (
            'config.moray.pg is missing; this server does not speak with Moray but with the PostgreSQL database behind ' +
            `it: ${HOW_TO_GIVE}`
        );
    }
    return checkAddress(config.pg);
}

function checkAddress(config: PgConfig): string | undefined {
    const { connectionString, hosts, user, password, database } = config;
    if (connectionString === undefined && hosts === undefined) {
        return `config.moray.pg has neither "hosts" nor "connectionString"; ${HOW_TO_GIVE}`;
    }
    const problem = addressProblem(config);
    if (problem !== undefined) {
        return `config.moray.pg.${connectionString === undefined ? 'hosts' : 'connectionString'} ${problem}`;
    }
    if (connectionString === undefined) {
        return undefined;
    }
    const twice = Object.entries({ hosts, user, password, database }).find(
        ([, value]) => value !== undefined,
    );
    return twice === undefined
        ? undefined
        : `config.moray.pg.${twice[0]} is given beside config.moray.pg.connectionString; give one or the other`;
}

function addressProblem(config: PgConfig): string | undefined {
    try {
        pgAddress(config);
        return undefined;
    } catch (error) {
        if (error instanceof PgAddressError) {
            return error.message;
        }
        throw error;
    }
}
