/**
 * Every configuration key: its shape, its meaning, and for our own keys its default (config.md §2).
 *
 * The keys stand in the order in which they are checked (config.md §3). `etc/defaults.json` holds the defaults of the
 * documented keys; those given here are filled in after the merge, so that one key of a block keeps its neighbours.
 */
import { STORAGE_TYPES } from '../manifest';
import { adminBlock, metricsBlock } from './admin';
import { authBlock } from './auth';
import {
    count,
    DAY,
    flag,
    oneOf,
    optionalText,
    port,
    reserved,
    size,
    text,
    time,
    timeOrNever,
    urlBlock,
    type KeySchema,
} from './key-schema';
import { corsKey } from './cors';
import { listenBlock } from './listen';
import { mantaBlock } from './manta';
import { morayBlock } from './moray';
import { DENIED_BY_DEFAULT } from './outbound';
import { s3Block } from './s3';
import { tlsBlock } from './tls';
import { wfapiBlock } from './wfapi';

/** More processes than any machine has a use for are a slip of the finger. */
const MOST_WORKERS = 1024;
/** A hundred years. */
const MOST_DAYS = 36_525;

const properties: Record<string, KeySchema> = {
    port: port('Port to listen on by `http`; 0 takes a free one.'),
    address: text('an IP address or host name', 'Address to listen on by `http`.'),
    maxSockets: {
        type: 'integer',
        minimum: 1,
        expected: 'a whole number of at least 1',
        description: 'Most connections at once to each service this server calls.',
    },
    serverName: text(
        'a text that is not empty',
        'Name in the `Server` header, and in `User-Agent` where this server calls others. ' +
            'Absent: `IMGAPI/` and the version.',
    ),
    mode: oneOf(
        ['public', 'private', 'dc'],
        'What kind of repository this is: of public images, of private ones, or the image service of a datacenter.',
    ),
    datacenterName: text('the name of the datacenter', 'Name of the datacenter; required in mode `dc`.'),
    ufds: {
        type: 'object',
        expected: 'an object with "url", "bindDN" and "bindPassword"',
        required: ['url', 'bindDN', 'bindPassword'],
        properties: {
            url: text(
                'an LDAP URL such as "ldaps://ufds.example.com"',
                'URL of the directory of accounts, required in mode `dc`: `ldaps://` (port 636) or `ldap://` (port 389).',
            ),
            bindDN: text('a distinguished name', 'Who to log in as, such as `cn=root`.'),
            bindPassword: text('the password for bindDN', 'Password of that login.'),
            ca: {
                type: 'string',
                pattern: '^/',
                expected: 'an absolute path',
                description:
                    'Path of PEM certificates to verify that of the directory with, and its host name. ' +
                    'Absent: neither is verified.',
            },
            connectTimeout: time(4_000, 'How long one attempt to connect may take.'),
            timeout: time(
                undefined,
                'How long the directory may take to answer. Absent: `ufds.clientTimeout`, or else 5s.',
            ),
            clientTimeout: time(undefined, 'Another name of `ufds.timeout`.'),
            retry: {
                type: 'object',
                default: {},
                expected: 'an object with "maxDelay"',
                properties: {
                    maxDelay: time(
                        undefined,
                        'Most time between attempts to connect, which begin 100 ms apart and never end. ' +
                            'Absent: `ufds.retry.maxTimeout`, or else 30s.',
                    ),
                    maxTimeout: time(undefined, 'Another name of `ufds.retry.maxDelay`.'),
                },
            },
            cache: {
                expected:
                    'a time up to 1m: a number of ms, or a text with a unit such as "500ms" or "10s"; 0 for none',
                description:
                    'How long an account that was found is taken to be there, by each process for itself. With 0 the ' +
                    'directory is asked every time.',
                default: 0,
                quantity: { kind: 'time', minimum: 0, maximum: 60_000, none: true },
            },
        },
    },
    moray: morayBlock,
    wfapi: wfapiBlock,
    authType: oneOf(
        ['none', 'signature'],
        'How writers prove who they are: not at all, or by HTTP Signature.',
    ),
    storageTypes: {
        type: 'array',
        minItems: 1,
        items: oneOf(STORAGE_TYPES),
        expected: `an array of at least one of ${STORAGE_TYPES.map((type) => `"${type}"`).join(', ')}`,
        description:
            'Where image files may be kept. Local disk is always there as a spool, listed or not; of two object stores ' +
            'the first is used.',
    },
    manta: mantaBlock,
    s3: s3Block,
    databaseType: oneOf(
        ['local', 'moray'],
        'Where manifests are kept: in a database in `databaseDir`, or in the PostgreSQL database of Moray (`moray.pg`), ' +
            'which servers on any number of machines may share.',
    ),
    placeholderImageLifespanDays: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: MOST_DAYS,
        expected: `a number of days above 0 and up to ${MOST_DAYS}`,
        description:
            'Days until an image of a machine that was never finished, or has failed, is removed; counted from the ' +
            'request for it.',
    },
    allowLocalCreateImageFromVm: flag(
        'Take requests to create images of machines without an object store as well; otherwise they are answered ' +
            'with 501 `NotAvailable`.',
    ),
    imgapiUrlFromDatacenter: {
        type: 'object',
        additionalProperties: { type: 'string', expected: 'the URL of an IMGAPI' },
        expected: 'an object from datacenter names to IMGAPI URLs',
        description:
            'Other datacenters to import from; in mode `dc` their addresses need no `outbound.allow`.',
    },
    logLevel: {
        type: ['string', 'integer'],
        minimum: 1,
        expected: 'one of trace, debug, info, warn, error, fatal, or a whole number of at least 1',
        description: 'Least level that is logged; `-d` overrides it. Trace adds source positions.',
    },
    channels: {
        type: 'array',
        minItems: 1,
        items: {
            type: 'object',
            required: ['name', 'description'],
            properties: {
                name: {
                    type: 'string',
                    pattern: '^[a-z][a-z0-9_-]*$',
                    expected: 'a lower-case letter followed by lower-case letters, digits, "_" or "-"',
                },
                description: { type: 'string', expected: 'a text that says what the channel is for' },
                default: { type: 'boolean', expected: 'true or false' },
            },
            expected: 'an object with "name" and "description"',
        },
        expected: 'an array of at least one channel',
        description:
            'Channels of images, each `{"name", "description", "default"?}`; one may be the default. ' +
            'Of two with the same name the later counts.',
    },
    authKeys: {
        type: 'object',
        additionalProperties: {
            type: 'array',
            items: text('an SSH public key'),
            expected: 'an array of SSH public keys',
        },
        expected: 'an object from user names to arrays of SSH public keys',
        description:
            'Keys of users: more are in files, see docs/authentication.md. What the users may do is in `auth.roles`.',
    },
    auth: authBlock,
    adminUuid: {
        type: 'string',
        pattern: '^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$',
        expected: 'a uuid in lower case',
        description:
            'Account of the operator. In mode `dc` it becomes the owner of imported images that have none, and its ' +
            'images are shared by clones instead of being copied with them. Absent or empty: nobody.',
    },
    serviceName: optionalText('a text', 'Label `service` of metrics.'),
    instanceUuid: optionalText('a uuid', 'Label `instance` of metrics.'),
    serverUuid: optionalText('a uuid', 'Label `server` of metrics.'),
    adminIp: optionalText(
        'an IP address',
        'Address in the admin network of the datacenter: in mode `dc`, metrics are at port 8881 of it. Absent or empty: they are not.',
    ),
    allowInsecure: flag('Do not verify the certificates of remote image repositories.'),
    minImageCreationPlatform: {
        type: 'array',
        minItems: 2,
        maxItems: 2,
        items: [
            { type: 'string', pattern: '^\\d+(\\.\\d+)*$', expected: 'an SDC version such as "7.0"' },
            { type: 'string', expected: 'a platform stamp such as "20130917T001310Z"' },
        ],
        expected: 'an array of an SDC version and a platform stamp',
        description:
            'Oldest platform of a compute node that images of machines are made on: an SDC version and, of the same ' +
            'version, the stamp of a platform.',
    },
    vmapi: urlBlock('VMAPI, which knows the machines of the datacenter: images of machines need it'),
    cnapi: urlBlock('CNAPI, which knows its compute nodes: images of machines need it'),
    docker: reserved(urlBlock('the Docker service')),
    dockerRegistryInsecure: reserved(flag('Do not verify the certificates of Docker registries.')),
    lxdRegistries: reserved({
        type: 'object',
        additionalProperties: { type: 'string', expected: 'a URL' },
        expected: 'an object from names to URLs',
        description: 'LXD registries to import from.',
    }),
    httpProxy: optionalText(
        'a URL, or "" for none',
        'Proxy for calls to remote image repositories, such as `http://user:password@proxy.example.com:3128`. ' +
            'Files by URL are fetched without it.',
    ),
    fluentd_host: optionalText(
        'a host name, or "" for none',
        'Host of a fluentd, to whose port 24224 the begin and end of every request are told, for trace viewers.',
    ),
    sapi_service: optionalText(
        'a host name',
        'Host of SAPI, for `imgapi-manta-setup` and `imgapi-external-manta-setup`.',
    ),
    ufds_admin_login: optionalText('a login', "Login of the operator's account, for `imgapi-manta-setup`."),
    vmapi_service: optionalText(
        'a host name',
        'Host of VMAPI, for `imgapi-manta-setup` where `vmapi.url` is not given.',
    ),
    cnapi_service: reserved(optionalText('a host name', 'For setup scripts.')),
    napi_service: reserved(optionalText('a host name', 'For setup scripts.')),
    dataDir: {
        type: 'string',
        pattern: '^/',
        default: '/data/imgapi',
        expected: 'an absolute path',
        description: 'Folder of image files and archived manifests.',
    },
    databaseDir: {
        type: 'string',
        pattern: '^/',
        expected: 'an absolute path',
        description: 'Folder of the local database. Absent: `dataDir`.',
    },
    user: text(
        'the name of a user',
        'Started as root, the server becomes this user as soon as it listens and has read keys and certificates. For ' +
            '`SIGHUP` that user has to be able to read the certificates.',
    ),
    serviceTimeout: timeOrNever(
        0,
        'The server ends with exit code 0 when it has had neither a connection nor a job for this long; 0 means never. ' +
            'For sockets of a service manager, which starts it again.',
    ),
    cors: corsKey,
    listen: listenBlock,
    tls: tlsBlock,
    permitInsecure: flag('Permit `authType` `none` on an address that other machines reach.', false),
    limits: {
        type: 'object',
        default: {},
        expected: 'an object of limits',
        properties: {
            headerBytes: size(1024 ** 2, 16 * 1024 ** 2, 'Largest request line plus headers; beyond it 431.'),
            jsonBytes: size(
                1024 ** 2,
                256 * 1024 ** 2,
                'Largest JSON body, as received and decompressed; beyond it 413.',
            ),
            headerTimeout: time(15_000, 'Within this the head of a request has to arrive.'),
            readTimeout: time(30_000, 'A request body that brings no byte for this long ends with 408.'),
            writeTimeout: time(60_000, 'A client that takes no byte of an answer for this long is cut off.'),
            idleConnection: time(130_000, 'Idle keep-alive connections are closed after this.'),
            tcpKeepAlive: timeOrNever(
                180_000,
                'A client that is silent for this long is asked by TCP whether it is still there, so that connections ' +
                    'of machines that are gone end; 0 never asks.',
            ),
            requests: count(
                0,
                1_000_000,
                'Most requests under way at once, in all workers together; 0 means any number. `GET /ping`, ' +
                    '`/healthz` and `/readyz` do not count and are always answered.',
                0,
            ),
            queue: count(
                1024,
                1_000_000,
                'Most requests that wait for others to end where `limits.requests` are under way, in the order in ' +
                    'which they came; further ones are answered with 503 and `Retry-After`.',
                0,
            ),
            gracefulStop: time(15_000, 'How long transfers may finish after SIGTERM.'),
            uploadSilence: time(
                50_000,
                'An upload whose server process has not said for this long that it is alive is given up, and what ' +
                    'it left on disk removed. The same for all processes that share a database.',
                1000,
            ),
            purgeInterval: time(
                30 * 60_000,
                'How often images that were never finished are looked for, and deleted if their time is over.',
            ),
            archiveInterval: time(
                5 * 60_000,
                'How often archived manifests are moved to the object store, if there is one.',
            ),
        },
    },
    cluster: {
        type: 'object',
        default: {},
        expected: 'an object with "workers"',
        properties: {
            workers: {
                type: ['integer', 'string'],
                minimum: 1,
                maximum: MOST_WORKERS,
                pattern: '^auto$',
                default: 1,
                expected: `a whole number from 1 to ${MOST_WORKERS}, or "auto"`,
                description:
                    'Processes that answer requests, behind one listener: `auto` has as many as there are processors ' +
                    'to use. With 1 there is one process and nothing before it.',
            },
        },
    },
    admin: adminBlock,
    metrics: metricsBlock,
    jobs: {
        type: 'object',
        default: {},
        expected: 'an object of settings for jobs',
        properties: {
            concurrency: count(4, 100, 'Most jobs that one process of this server runs at once.'),
            attempts: count(
                10,
                1000,
                'How often a step of a job is tried before the job has failed. A process that dies in the middle ' +
                    'of a step has tried it too.',
            ),
            retryDelay: time(
                2000,
                'How long to wait before a step is tried again; twice as long each further time.',
            ),
            maxRetryDelay: time(300_000, 'The longest wait between two tries.'),
            leaseTime: time(
                15_000,
                'A process that has not said for this long that it is alive loses its jobs to the others. The same ' +
                    'for all processes that share a database.',
                300,
            ),
            retention: time(30 * DAY, 'How long jobs that have ended are kept.', 1000, 3650 * DAY),
        },
    },
    services: {
        type: 'object',
        default: {},
        expected: 'an object with "connectTimeout" and "answerTimeout"',
        properties: {
            connectTimeout: time(
                4_000,
                'Within this a connection to a service of the datacenter (VMAPI, CNAPI, WFAPI) has to stand.',
            ),
            answerTimeout: time(
                15_000,
                'Within this the whole answer of a service of the datacenter has to arrive.',
            ),
        },
    },
    outbound: {
        type: 'object',
        default: {},
        expected: 'an object',
        properties: {
            allow: {
                type: 'array',
                items: text('an IP address, a range of them, a host or an origin'),
                default: [],
                expected:
                    'an array of IP addresses, ranges such as "10.0.0.0/8", and hosts or origins of URLs',
                description:
                    'Where this server may connect to although `outbound.deny` forbids it: see docs/security.md.',
            },
            deny: {
                type: 'array',
                items: text('an IP address or a range of them'),
                default: DENIED_BY_DEFAULT,
                expected: 'an array of IP addresses and ranges such as "10.0.0.0/8"',
                description:
                    'Addresses that imports do not connect to. A given list takes the place of the default, which ' +
                    'holds what is not public: see docs/security.md.',
            },
            connectTimeout: time(
                10_000,
                'Within this a connection to another server has to stand, its name resolved; a TLS handshake may ' +
                    'take as long again.',
            ),
            answerTimeout: time(
                30_000,
                'Within this the head of an answer of another server has to arrive, and within as much again the ' +
                    'whole of a manifest.',
            ),
            idleTimeout: time(
                30_000,
                'A file from another server of which no byte arrives for this long, or less than 1 KiB for each ' +
                    'second of it, is given up.',
            ),
        },
    },
};

export const configSchema = {
    type: 'object',
    expected: 'an object',
    properties,
    required: [
        'port',
        'address',
        'maxSockets',
        'mode',
        'authType',
        'storageTypes',
        'databaseType',
        'placeholderImageLifespanDays',
        'minImageCreationPlatform',
        'allowLocalCreateImageFromVm',
        'logLevel',
    ],
} as const satisfies KeySchema;

/** The top-level keys, in the order in which they are checked. */
export const knownKeys: readonly string[] = Object.keys(properties);
