/**
 * Every option of main.js (config.md §5, daemon.md §1): parsing, `-h`, the environment variables and the table of the
 * operator's guide all come from these rows.
 */
import type { Flag } from './options';

/** How the text of a value is read; the key's own schema says what is right. */
export type ValueKind = 'text' | 'number' | 'time' | 'size' | 'list' | 'on';

export interface Variable {
    readonly name: string;
    /** Counts only when the instance file does not set the key: these names are used by other programs too. */
    readonly yieldsToFile?: true;
}

export interface ServerOption extends Flag {
    /** The configuration key that it sets, such as `tls.port`. */
    readonly key?: string;
    /** Needed with `key`. */
    readonly kind?: ValueKind;
    /** Later ones win. */
    readonly environment?: readonly Variable[];
    /** What holds without it, where no key says so. */
    readonly otherwise?: string;
}

export const serverOptions = [
    { name: 'help', short: 'h', help: 'Print this help and exit.' },
    { name: 'version', short: 'v', help: 'Print the version and exit.' },
    {
        name: 'file',
        aliases: ['config'],
        short: 'f',
        value: 'PATH',
        help: 'The config file.',
        otherwise: '/data/imgapi/etc/imgapi.config.json',
    },
    {
        name: 'debug',
        short: 'd',
        help: 'Log at level debug; twice for trace, three times with source positions.',
    },
    { name: 'verbose', help: 'Log at level info.' },
    {
        name: 'log-level',
        value: 'LEVEL',
        key: 'logLevel',
        kind: 'number',
        help: 'Least level that is logged.',
    },
    {
        name: 'data-dir',
        value: 'PATH',
        key: 'dataDir',
        kind: 'text',
        environment: [{ name: 'IMGAPITEST_LOCAL_BASE_DIR' }, { name: 'IMGAPI_DATA_DIR' }],
        help: 'Folder of image files and archived manifests.',
    },
    {
        name: 'scheme',
        value: 'SCHEME',
        key: 'listen.schemes',
        kind: 'list',
        help: 'Listen by http, https, unix (a socket in the file system) or fd (sockets passed by a service manager); may be repeated.',
    },
    {
        name: 'host',
        aliases: ['address'],
        value: 'ADDRESS',
        key: 'address',
        kind: 'text',
        environment: [{ name: 'HOST', yieldsToFile: true }, { name: 'IMGAPI_HOST' }],
        help: 'Address to listen on.',
    },
    {
        name: 'port',
        value: 'NUMBER',
        key: 'port',
        kind: 'number',
        environment: [{ name: 'PORT', yieldsToFile: true }, { name: 'IMGAPI_PORT' }],
        help: 'Port to listen on; 0 takes a free one.',
    },
    {
        name: 'port-file',
        value: 'PATH',
        help: 'Write the port that is listened on into this file.',
        otherwise: 'none',
    },
    {
        name: 'socket-path',
        value: 'PATH',
        key: 'listen.socketPath',
        kind: 'text',
        help: 'The socket of the scheme unix.',
        otherwise: '/run/imgapi/imgapi.sock as root, $XDG_RUNTIME_DIR/imgapi/imgapi.sock for anybody else',
    },
    {
        name: 'tls-host',
        value: 'ADDRESS',
        key: 'tls.host',
        kind: 'text',
        environment: [{ name: 'TLS_HOST' }],
        help: 'Address to listen on by https.',
        otherwise: 'that of --host',
    },
    {
        name: 'tls-port',
        value: 'NUMBER',
        key: 'tls.port',
        kind: 'number',
        environment: [{ name: 'TLS_PORT' }],
        help: 'Port to listen on by https; 0 takes a free one.',
    },
    {
        name: 'tls-certificate',
        value: 'PATH',
        key: 'tls.certificate',
        kind: 'text',
        environment: [{ name: 'TLS_CERTIFICATE' }],
        help: 'PEM file of the certificate and its chain; it may hold the key as well.',
        otherwise: 'a certificate that the server makes for itself at its start',
    },
    {
        name: 'tls-key',
        value: 'PATH',
        key: 'tls.key',
        kind: 'text',
        environment: [{ name: 'TLS_PRIVATE_KEY' }],
        help: 'PEM file of the private key.',
        otherwise: 'the file of the certificate',
    },
    {
        name: 'tls-ca',
        value: 'PATH',
        key: 'tls.clientCa',
        kind: 'text',
        environment: [{ name: 'TLS_CA_CERTIFICATE' }],
        help: 'PEM file of authorities: clients by https then need a certificate of one of them.',
        otherwise: 'none, and clients need no certificate',
    },
    { name: 'no-ssl', help: 'Do not listen by https, whatever else says so.' },
    {
        name: 'keep-alive',
        value: 'TIME',
        key: 'limits.tcpKeepAlive',
        kind: 'time',
        help: 'When to ask by TCP whether a silent client is still there; 0 never does.',
    },
    {
        name: 'tls-keep-alive',
        value: 'TIME',
        key: 'tls.keepAlive',
        kind: 'time',
        help: 'The same for https.',
        otherwise: 'that of --keep-alive',
    },
    {
        name: 'cleanup-timeout',
        value: 'TIME',
        key: 'limits.idleConnection',
        kind: 'time',
        help: 'Close idle keep-alive connections after this.',
    },
    {
        name: 'graceful-timeout',
        value: 'TIME',
        key: 'limits.gracefulStop',
        kind: 'time',
        help: 'How long transfers may finish after SIGTERM or SIGINT.',
    },
    {
        name: 'max-header-size',
        value: 'SIZE',
        key: 'limits.headerBytes',
        kind: 'size',
        help: 'Largest request line plus headers; beyond it 431.',
    },
    {
        name: 'listen-limit',
        value: 'NUMBER',
        key: 'limits.requests',
        kind: 'number',
        help: 'Most requests under way at once; the next ones wait. 0 means any number.',
    },
    {
        name: 'tls-listen-limit',
        value: 'NUMBER',
        key: 'tls.requests',
        kind: 'number',
        help: 'Most requests by https under way at once, among those of --listen-limit. 0 means any number.',
    },
    {
        name: 'read-timeout',
        value: 'TIME',
        key: 'limits.readTimeout',
        kind: 'time',
        help: 'A request body that brings no byte for this long ends with 408.',
    },
    {
        name: 'tls-read-timeout',
        value: 'TIME',
        key: 'tls.readTimeout',
        kind: 'time',
        help: 'The same for https.',
        otherwise: 'that of --read-timeout',
    },
    {
        name: 'write-timeout',
        value: 'TIME',
        key: 'limits.writeTimeout',
        kind: 'time',
        help: 'A client that takes no byte of an answer for this long is cut off.',
    },
    {
        name: 'tls-write-timeout',
        value: 'TIME',
        key: 'tls.writeTimeout',
        kind: 'time',
        help: 'The same for https.',
        otherwise: 'that of --write-timeout',
    },
    {
        name: 'cors',
        value: 'ORIGINS',
        key: 'cors',
        kind: 'text',
        help: 'Let pages of these origins use the API in a browser; * means all of them. It is no access control.',
        otherwise: 'none',
    },
    {
        name: 'time',
        short: 't',
        value: 'TIME',
        key: 'serviceTimeout',
        kind: 'time',
        help: 'End after this time without a connection and without a job; 0 means never.',
    },
    {
        name: 'user',
        value: 'NAME',
        key: 'user',
        kind: 'text',
        help: 'Started as root, become this user when all is open.',
        otherwise: 'none',
    },
    {
        name: 'daemonize',
        help: 'Run in the background. The command ends when the server answers, or with an error if it does not.',
    },
    {
        name: 'foreground',
        help: 'Run in the foreground, as it does without this; the opposite of --daemonize.',
    },
    {
        name: 'pid-file',
        value: 'PATH',
        help: 'Write the number of the process into this file.',
        otherwise: 'none',
    },
    {
        name: 'permit-insecure',
        key: 'permitInsecure',
        kind: 'on',
        help: 'Permit authType none on an address that other machines reach.',
    },
] as const satisfies readonly ServerOption[];

export type OptionName = (typeof serverOptions)[number]['name'];
