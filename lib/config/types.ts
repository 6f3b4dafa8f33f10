/** The configuration after merge, defaults and validation: what the rest of the server sees (config.md §2). */
import type { StorageType } from '../manifest';
import type { AdminConfig, MetricsConfig } from './admin';
import type { ROLES } from './auth';
import type { SCHEMES } from './listen';

export type Mode = 'public' | 'private' | 'dc';

export interface ChannelConfig {
    name: string;
    description: string;
    default?: boolean;
}

/** Times in ms. */
export interface UfdsConfig {
    /** `ldap:` or `ldaps:`. */
    url: string;
    bindDN: string;
    bindPassword: string;
    /** Path of the certificates to verify the server's with; without it nothing is verified. */
    ca?: string;
    connectTimeout: number;
    timeout?: number;
    clientTimeout?: number;
    retry: { maxDelay?: number; maxTimeout?: number };
    /** How long an account that was found is taken to be there; 0: not at all. */
    cache: number;
}

/** Times in ms. */
export interface MantaConfig {
    url: string;
    user: string;
    /** Path of the private key. */
    key: string;
    keyId: string;
    baseDir: string;
    /** Computed: `/<user>/stor/<baseDir>[/<datacenterName>]`. */
    rootDir: string;
    insecure?: boolean;
    remote?: boolean;
    connectTimeout: number;
    answerTimeout: number;
    idleTimeout: number;
}

export interface S3Config {
    bucket: string;
    region: string;
    /** URL of the server; absent: Amazon's of the region. */
    endpoint?: string;
    /** The bucket is the first segment of the path, not part of the host name. */
    forcePathStyle?: boolean;
    /** Both or neither; without them they come from where the AWS SDK looks for them. */
    accessKeyId?: string;
    secretAccessKey?: string;
    /** What all keys begin with. */
    prefix?: string;
    remote?: boolean;
    /** Bytes of a part of a large upload. */
    partSize: number;
    /** In ms. */
    connectTimeout: number;
    idleTimeout: number;
    /** Downloads may be answered with a URL of S3. */
    presignRedirect?: boolean;
    /** What the keys of exported images begin with; absent: none are exported. */
    exportPrefix?: string;
}

/** Where the PostgreSQL database of Moray is. Times in ms. */
export interface PgConfig {
    /** Instead of `hosts`, `user`, `password` and `database`. */
    connectionString?: string;
    /** `host` or `host:port`; the primary and those that may take its place. */
    hosts?: string[];
    user?: string;
    password?: string;
    database?: string;
    /** `ca` is a path. */
    ssl?: boolean | { ca?: string; rejectUnauthorized?: boolean };
    pool: {
        /** Most connections of this process. */
        size: number;
        /** Within this a connection has to stand or come free. */
        connectTimeout: number;
        statementTimeout: number;
        idleTimeout: number;
        /** Between the first two rounds of asking all hosts for the primary. */
        recheckInterval: number;
    };
}

export interface MorayConfig {
    pg?: PgConfig;
    /** Of the Moray service, which is not asked. */
    host?: string;
    port?: number;
}

/** Sizes in bytes, times in ms. */
export interface LimitsConfig {
    /** Largest request line plus headers. */
    headerBytes: number;
    /** Largest body of a JSON endpoint, as received and decompressed. */
    jsonBytes: number;
    /** Within this the head of a request has to arrive. */
    headerTimeout: number;
    /** A request body that brings no byte for this long ends with 408. */
    readTimeout: number;
    /** A client that takes no byte of an answer for this long is cut off. */
    writeTimeout: number;
    /** Idle keep-alive connections are closed after this. */
    idleConnection: number;
    /** A client that is silent for this long is asked by TCP whether it is there; 0 never asks. */
    tcpKeepAlive: number;
    /** Most requests under way at once, in all workers together; 0 means any number. */
    requests: number;
    /** Most requests that wait for their turn, in all workers together. */
    queue: number;
    /** How long transfers may finish after SIGTERM. */
    gracefulStop: number;
    /** An upload whose process was silent for this long is given up; processes speak three times as often or more. */
    uploadSilence: number;
    purgeInterval: number;
    /** How often archived manifests are moved to the object store. */
    archiveInterval: number;
}

/** Where the server listens; see also `address`, `port` and `tls`. */
export interface ListenConfig {
    schemes: (typeof SCHEMES)[number][];
    /** There if `schemes` has `unix`. */
    socketPath?: string;
    /** Four digits, in octal. */
    socketMode: string;
    /** Name of a group. */
    socketGroup?: string;
}

/** How the server listens by https. Times in ms; those that are absent are as for http. */
export interface TlsConfig {
    host?: string;
    port: number;
    /** Paths of PEM files. */
    certificate?: string;
    key?: string;
    /** Authorities one of which has to have signed the certificates of clients; without it they need none. */
    clientCa?: string;
    /** Most requests under way at once, in all workers together; 0 means any number. */
    requests: number;
    keepAlive?: number;
    readTimeout?: number;
    writeTimeout?: number;
}

export interface ClusterConfig {
    /** How many processes answer requests; `auto`: as many as there are processors. */
    workers: number | 'auto';
}

/** How this server runs jobs itself. Times in ms. */
export interface JobsConfig {
    /** Most jobs that one process runs at once. */
    concurrency: number;
    /** How often a step is tried. */
    attempts: number;
    /** Wait before the second attempt; doubled for each further one up to `maxRetryDelay`. */
    retryDelay: number;
    maxRetryDelay: number;
    /** A process that did not say for this long that it is alive loses its jobs to the others. */
    leaseTime: number;
    /** How long jobs that have ended are kept. */
    retention: number;
}

/** How the services of the datacenter are asked: VMAPI, CNAPI and WFAPI. Times in ms. */
export interface ServicesConfig {
    connectTimeout: number;
    /** For the whole of an answer. */
    answerTimeout: number;
}

/** The workflow service of a datacenter. Times in ms. */
export interface WfapiConfig {
    url: string;
    /** The kinds of jobs, in the order that they are listed in. */
    workflows: string[];
    /** Whether to replace the workflows that it has at every start, or those that differ from ours. */
    forceReplace: boolean;
    forceMd5Check: boolean;
    pingInterval: number;
    /** Between attempts to give it the workflows. */
    retry: { minTimeout: number; maxTimeout: number };
}

/** A service of the datacenter; setup templates may leave the URL empty. */
export interface ServiceConfig {
    url?: string;
}

/** `read` sees what an operator sees, `write` also changes images, `admin` does everything. */
export type Role = (typeof ROLES)[number];

/** What somebody may do; with `channels`, in those only. */
export type RoleEntry = Role | { role: Role; channels?: string[] };

/** Who may do what, and how well they have to prove who they are (docs/authentication.md). Times in ms. */
export interface AuthConfig {
    reads: 'anonymous' | 'signed';
    /** Images that are not active are not there for requests without a signature. */
    hideUnpublished: boolean;
    /** By user name, or `cn:` and the common name of a client certificate. */
    roles: Record<string, RoleEntry>;
    /** What a signature has to cover beside the date, as given; the case does not matter. */
    requireSigned: string[];
    /** Signatures are accepted once, and with a date that is off by at most this. Absent: repeatedly, 300 s. */
    replayWindow?: number;
    /** How often keys are fetched from the object store. */
    keyPollInterval: number;
}

/** Rules for connections to other servers (docs/security.md). Times in ms. */
export interface OutboundConfig {
    /** Addresses, ranges, hosts and origins that are allowed although `deny` forbids them. */
    allow: string[];
    /** Addresses and ranges that this server does not connect to. */
    deny: string[];
    /** For resolving a name and connecting, and again for a TLS handshake. */
    connectTimeout: number;
    /** For the head of an answer, and again for the body of a JSON answer. */
    answerTimeout: number;
    /** The longest pause in a file. */
    idleTimeout: number;
}

export interface Config {
    port: number;
    address: string;
    maxSockets: number;
    serverName?: string;
    logLevel: string | number;
    mode: Mode;
    /** Base folder of local data (images, archive, keys). */
    dataDir: string;
    /** Folder of the SQLite database; by default `dataDir`. */
    databaseDir: string;
    permitInsecure: boolean;
    datacenterName?: string;
    adminUuid?: string;
    /** There in mode `dc`; elsewhere not looked at. */
    ufds?: UfdsConfig;
    channels?: ChannelConfig[];
    placeholderImageLifespanDays: number;
    /** Oldest platform that images of machines are made on: an SDC version, and the stamp of a platform. */
    minImageCreationPlatform: [version: string, platform: string];
    allowLocalCreateImageFromVm: boolean;
    authType: 'none' | 'signature';
    authKeys?: Record<string, string[]>;
    auth: AuthConfig;
    databaseType: 'local' | 'moray';
    /** With `pg` if `databaseType` is `moray`; elsewhere not looked at. */
    moray?: MorayConfig;
    storageTypes: StorageType[];
    manta?: MantaConfig;
    s3?: S3Config;
    /** Who to become. */
    user?: string;
    /** Ends after this time without work, in ms; 0 means never. */
    serviceTimeout: number;
    /** Origins whose pages may use the API, with commas between them; empty means none. */
    cors?: string;
    listen: ListenConfig;
    tls: TlsConfig;
    limits: LimitsConfig;
    cluster: ClusterConfig;
    /** Where those who watch the server look; absent: nowhere. */
    admin?: AdminConfig;
    metrics: MetricsConfig;
    /** Labels of metrics, and the address for them in mode `dc`; setup templates may leave them empty. */
    adminIp?: string;
    instanceUuid?: string;
    serverUuid?: string;
    serviceName?: string;
    fluentd_host?: string;
    jobs: JobsConfig;
    /** The workflow service of the datacenter; without it jobs run in this server. */
    wfapi?: WfapiConfig;
    services: ServicesConfig;
    outbound: OutboundConfig;
    /** Proxy for remote repositories; empty means none. */
    httpProxy?: string;
    /** Takes any certificate of a remote repository. */
    allowInsecure?: boolean;
    /** URL of the IMGAPI of each other datacenter, by its name. */
    imgapiUrlFromDatacenter?: Record<string, string>;
    vmapi?: ServiceConfig;
    cnapi?: ServiceConfig;
    [key: string]: unknown;
}
