/** What a schema cannot say: rules between keys. Each stands under the key after whose shape it is checked. */
import { authBlock, ROLES } from './auth';
import { censorConfig } from './censor';
import { checkListen } from './listen';
import { isLoopback } from './loopback';
import { checkManta } from './manta';
import { checkMoray } from './moray';
import { nearestName } from './nearest';
import { isServiceUrl, parseHost, parseNetwork } from './outbound';
import { checkS3 } from './s3';
import { checkTls } from './tls';
import type {
    AuthConfig,
    ChannelConfig,
    Config,
    ListenConfig,
    MantaConfig,
    MorayConfig,
    RoleEntry,
    S3Config,
    TlsConfig,
} from './types';

/** A merged configuration whose shape is being checked. */
export type Settings = Record<string, unknown>;

/** Gives the reason against the settings, or undefined. Keys checked earlier (config.md §3) have the right shape. */
type Rule = (settings: Settings) => string | undefined;

const SERVICE_URL = 'a URL of http or https without credentials, such as "http://imgapi.example.com"';

/** Names of the levels, from the least on. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

const requiredInDc =
    (key: string, expected: string): Rule =>
    (settings) =>
        settings.mode === 'dc' && settings[key] === undefined
            ? `config.${key} is missing; config.mode "dc" needs it to be ${expected}`
            : undefined;

const requiredByStorage =
    (key: string, expected: string): Rule =>
    (settings) =>
        (settings.storageTypes as string[]).includes(key) && settings[key] === undefined
            ? `config.${key} is missing; config.storageTypes lists "${key}", which needs it to be ${expected}`
            : undefined;

const ufdsMissing = requiredInDc('ufds', 'an object with "url", "bindDN" and "bindPassword"');

function checkUfds(settings: Settings): string | undefined {
    const { url } = (settings.ufds ?? {}) as { url?: string };
    if (settings.mode !== 'dc' || url === undefined) {
        return ufdsMissing(settings);
    }
    return isLdapUrl(url)
        ? undefined
        : `config.ufds.url is ${shown(url)}; it must be "ldaps://" or "ldap://", a host name, and a port if it is not the usual one`;
}

/** Whether it is scheme, host and port, and nothing else. The LDAP client takes no IPv6 address for a host. */
function isLdapUrl(text: string): boolean {
    return /^ldaps?:\/\/[^\s/?#@[\]]+\/?$/i.test(text) && URL.canParse(text);
}

function checkChannels(settings: Settings): string | undefined {
    const channels = settings.channels as ChannelConfig[] | undefined;
    if (!channels) {
        return undefined;
    }
    const defaults = channels.filter((channel) => channel.default === true).map(({ name }) => `"${name}"`);
    return defaults.length > 1
        ? `config.channels marks ${defaults.join(' and ')} as default; at most one channel can be it`
        : undefined;
}

function checkLogLevel(settings: Settings): string | undefined {
    const level = settings.logLevel;
    return typeof level === 'string' && !LOG_LEVELS.includes(level.toLowerCase())
        ? `config.logLevel is "${level}"; it must be one of ${LOG_LEVELS.join(', ')}, or a number`
        : undefined;
}

/** Every TCP listener counts; sockets that are passed to the server are looked at when it has them. */
function checkOpenDoor(settings: Settings): string | undefined {
    if (mayBeOpen(settings)) {
        return undefined;
    }
    const { address, listen, tls } = settings as Config;
    const doors = [
        ...(listen.schemes.includes('http') ? [{ key: 'address', host: address }] : []),
        ...(listen.schemes.includes('https')
            ? [
                  tls.host === undefined
                      ? { key: 'address', host: address }
                      : { key: 'tls.host', host: tls.host },
              ]
            : []),
    ];
    const open = doors.find(({ host }) => !isLoopback(host));
    return (
        open &&
        `config.authType is "none" while config.${open.key} is "${open.host}": whoever reaches that address could ` +
            'change and delete images; set authType to "signature", listen on 127.0.0.1, or say ' +
            '"permitInsecure": true if that is wanted'
    );
}

/** Whether other machines may reach the server: they cannot just change everything, or that is wanted. */
export function mayBeOpen({ authType, mode, permitInsecure }: Settings): boolean {
    return authType !== 'none' || mode === 'dc' || permitInsecure === true;
}

function checkWfapi({ wfapi }: Settings): string | undefined {
    const { url } = (wfapi ?? {}) as { url?: string };
    return url === undefined || isServiceUrl(url)
        ? undefined
        : `config.wfapi.url is ${shown(url)}; it must be ${SERVICE_URL}`;
}

function checkDatacenters(settings: Settings): string | undefined {
    const urls = Object.entries((settings.imgapiUrlFromDatacenter ?? {}) as Record<string, string>);
    const [name, url] = urls.find(([, candidate]) => !isServiceUrl(candidate)) ?? [];
    return name === undefined
        ? undefined
        : `config.imgapiUrlFromDatacenter.${name} is ${shown(url)}; it must be ${SERVICE_URL}`;
}

/** Setup templates may leave the URL empty. */
const checkService =
    (key: string): Rule =>
    (settings) => {
        const { url = '' } = (settings[key] ?? {}) as { url?: string };
        return url === '' || isServiceUrl(url)
            ? undefined
            : `config.${key}.url is ${shown(url)}; it must be ${SERVICE_URL}, or "" for none`;
    };

function checkProxy(settings: Settings): string | undefined {
    const { httpProxy } = settings;
    if (typeof httpProxy !== 'string' || httpProxy === '') {
        return undefined;
    }
    // Credentials of a proxy are fine, so they are not looked at here.
    return isServiceUrl(httpProxy.replace(/\/\/[^/?#]*@/, '//'))
        ? undefined
        : `config.httpProxy is ${shown(httpProxy)}; it must be a URL of http or https such as ` +
              '"http://proxy.example.com:3128", or "" for none';
}

function checkOutbound(settings: Settings): string | undefined {
    const { allow = [], deny = [] } = settings.outbound as { allow?: string[]; deny?: string[] };
    const wrongDeny = deny.find((entry) => !parseNetwork(entry));
    if (wrongDeny !== undefined) {
        return (
            `config.outbound.deny holds ${shown(wrongDeny)}; each entry must be an IP address or a range of them ` +
            'such as "10.0.0.0/8", IPv4 not written as IPv6'
        );
    }
    const wrongAllow = allow.find((entry) => !parseNetwork(entry) && !parseHost(entry));
    return wrongAllow === undefined
        ? undefined
        : `config.outbound.allow holds ${shown(wrongAllow)}; each entry must be an IP address, a range of them such ` +
              'as "10.0.0.0/8", a host such as "images.example.com" or "images.example.com:8080", or a URL of http ' +
              'or https without a path';
}

function checkAuth(settings: Settings): string | undefined {
    const { reads, hideUnpublished, roles, requireSigned, replayWindow, ...others } =
        settings.auth as AuthConfig;
    const unknown = unknownAuthKey(others);
    if (unknown !== undefined) {
        return unknown;
    }
    if (reads === 'signed' && settings.mode === 'dc') {
        return 'config.auth.reads is "signed"; config.mode "dc" needs it to be "anonymous": CloudAPI and the other services of a datacenter do not sign';
    }
    const needsSignatures = [
        reads === 'signed' && 'config.auth.reads is "signed"',
        hideUnpublished && 'config.auth.hideUnpublished is true',
        requireSigned.length > 0 && 'config.auth.requireSigned is given',
        replayWindow !== undefined && 'config.auth.replayWindow is given',
    ].find((reason) => reason !== false);
    if (settings.authType === 'none' && needsSignatures !== undefined) {
        return `${needsSignatures}; config.authType needs to be "signature" for that, not "none"`;
    }
    const wrong = Object.entries(roles).find(
        ([name, entry]) => wrongRole(name, entry, settings) !== undefined,
    );
    return wrong && wrongRole(...wrong, settings);
}

/** Elsewhere a key that nobody reads is a warning; here it may be what was to keep somebody out. */
function unknownAuthKey(others: object): string | undefined {
    const names = Object.keys(authBlock.properties ?? {});
    const unknown = Object.keys(others).find((key) => !names.includes(key) && !key.startsWith('//'));
    if (unknown === undefined) {
        return undefined;
    }
    const meant = nearestName(unknown, names);
    const choice = meant === undefined ? `it takes ${names.join(', ')}` : `did you mean "${meant}"?`;
    return `config.auth has the key ${shown(unknown)}, which this server does not know; ${choice}`;
}

function wrongRole(name: string, entry: RoleEntry, settings: Settings): string | undefined {
    if (name === '' || name === 'cn:') {
        return `config.auth.roles has a role for ${shown(name)}; it must be for a user name, or "cn:" and the common name of a certificate`;
    }
    const { role, channels = [], ...others } = typeof entry === 'string' ? { role: entry } : entry;
    const [other] = Object.keys(others);
    if (other !== undefined) {
        // A limit that nobody reads would be a door left open.
        return `config.auth.roles.${name} has the key ${shown(other)}; it takes "role" and "channels" only`;
    }
    if (!ROLES.includes(role)) {
        return `config.auth.roles.${name} is ${shown(role)}; it must be one of ${ROLES.map((known) => `"${known}"`).join(', ')}`;
    }
    const configured = (settings.channels ?? []) as ChannelConfig[];
    const unknown = channels.find((channel) => !configured.some((known) => known.name === channel));
    return unknown === undefined
        ? undefined
        : `config.auth.roles.${name}.channels holds ${shown(unknown)}; it must be the name of a channel in config.channels`;
}

/** A value as it may stand in a message. */
function shown(value: unknown): string {
    return JSON.stringify(censorConfig(value));
}

export const rules: Readonly<Record<string, Rule>> = {
    datacenterName: requiredInDc('datacenterName', 'the name of the datacenter'),
    ufds: checkUfds,
    moray: (settings) =>
        settings.databaseType === 'moray' ? checkMoray(settings.moray as MorayConfig | undefined) : undefined,
    wfapi: checkWfapi,
    manta: (settings) =>
        settings.manta === undefined
            ? requiredByStorage('manta', 'an object with "url", "user", "key" and "keyId"')(settings)
            : checkManta(settings.manta as MantaConfig),
    s3: (settings) =>
        settings.s3 === undefined
            ? requiredByStorage('s3', 'an object with "bucket" and "region"')(settings)
            : checkS3(settings.s3 as S3Config),
    imgapiUrlFromDatacenter: checkDatacenters,
    logLevel: checkLogLevel,
    channels: checkChannels,
    vmapi: checkService('vmapi'),
    cnapi: checkService('cnapi'),
    httpProxy: checkProxy,
    auth: checkAuth,
    listen: (settings) => checkListen(settings.listen as ListenConfig),
    tls: (settings) => checkTls(settings.tls as TlsConfig),
    permitInsecure: checkOpenDoor,
    outbound: checkOutbound,
};

/** Blocks that are looked at only where they are used: templates may leave them half filled elsewhere. */
export const unusedBlocks: Readonly<Record<string, (settings: Settings) => boolean>> = {
    ufds: (settings) => settings.mode !== 'dc',
    moray: (settings) => settings.databaseType !== 'moray',
};
