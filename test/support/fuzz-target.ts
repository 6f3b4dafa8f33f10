/** Paths and query strings made by chance, of a row of the route table. */
import type { Parameter, Route } from '../../lib/api/route';
import { routes } from '../../lib/routes';
import { OTHER, OWNER, STRANGER, UNKNOWN } from './api';
import type { Chance } from './fuzz-values';
import { testUuid } from './images';

/**
 * URLs for a server to be told to connect to: there is nothing, or it must not. No host of a real network is among
 * them, and no name but that of this machine.
 */
export const OUTBOUND: readonly string[] = [
    'http://127.0.0.1:1',
    'https://127.0.0.1:1/x',
    'http://localhost:1/',
    'https://localhost:1/x?a=b#c',
    'http://[::1]:1',
    'https://[::ffff:127.0.0.1]:1/',
    'http://2130706433:1/',
    'http://0x7f.1:1/',
    'http://0177.0.0.1:1/',
    'http://0.0.0.0:1/',
    'http://127.1:1/',
    'https://127.0.0.1:0/',
    'http://user:secret@127.0.0.1:1/',
    'http://127.0.0.1:1/%zz/%2e%2e/?channel=*',
    'http://127.0.0.1:99999/',
    'http://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1/',
    'https://192.168.0.1:8443/x',
    'http://[fe80::1]/',
    'http://[fd00::1]:80/',
    'http://224.0.0.1/',
    'https://255.255.255.255/',
    'ftp://127.0.0.1:1/',
    'file:///etc/passwd',
    'data:,x',
    'javascript:1',
    'http://',
    'http:127.0.0.1:1',
    '//127.0.0.1:1/',
    'https:\\\\127.0.0.1:1\\',
    'http://[127.0.0.1]/',
    'http://127.0.0.1:1/'.padEnd(4000, 'a'),
];

/** Names of parameters that hold such a URL. */
const URLS = ['source', 'file_url'];

const ALL_PARAMETERS = [...new Set(routes.flatMap(({ parameters }) => parameters))];
const ALL_ACTIONS = [
    ...new Set(routes.flatMap(({ actions }) => actions ?? [])),
    'import-docker-image',
    'ACTIVATE',
];

/** Values of parameters of which the table does not tell what they may be. */
const FITTING: Readonly<Record<string, readonly string[]>> = {
    channel: ['dev', 'release', '*', ''],
    compression: ['gzip', 'none'],
    manta_path: ['/login/stor/x', '/../x', '/'],
    marker: [UNKNOWN, '2020-01-01', '2020-01-01T00:00:00.000Z'],
    name: ['base', '~a', 'fuzzed'],
    type: ['zone-dataset', '!zvol'],
};

export interface TargetContext {
    /** Of the request. */
    number: number;
    /** Uuids of images that are there. */
    images: readonly string[];
    sources: readonly string[];
}

/** Path and query of a request for a row, and what stands in the place of the uuid. */
export function makeTarget(
    chance: Chance,
    route: Route,
    context: TargetContext,
): { target: string; uuid: string } {
    const search = query(chance, route, context);
    if (chance.onceIn(15)) {
        return { target: nastyPath(chance) + search, uuid: UNKNOWN };
    }
    const uuid = subject(chance, route, context);
    return { target: route.path.replace(/:\w+/, () => uuid) + search, uuid };
}

/** What a request is about: an image that is there as a rule, or for an import a new one. */
function subject(chance: Chance, route: Route, { number, images }: TargetContext): string {
    switch (chance.below(12)) {
        case 0:
            return UNKNOWN;
        case 1:
            return chance.pick(images).toUpperCase();
        case 2:
            return encode(chance, chance.text());
        default: {
            const isImport = route.actions?.some((action) => action.startsWith('import')) === true;
            return isImport && !chance.onceIn(4) ? testUuid(1_000_000 + number) : chance.pick(images);
        }
    }
}

/** Bytes that may stand in a request line, some %-escaped. */
function encode(chance: Chance, text: string): string {
    return Array.from(Buffer.from(text), (byte) => {
        const mustEscape = byte <= 0x20 || byte === 0x7f;
        return (mustEscape && !chance.onceIn(50)) || chance.onceIn(3)
            ? `%${byte.toString(16).padStart(2, '0')}`
            : String.fromCharCode(byte);
    }).join('');
}

function nastyPath(chance: Chance): string {
    switch (chance.below(5)) {
        case 0:
            return '*';
        case 1:
            return 'http://example.com/images';
        case 2:
            return `/${'a/'.repeat(chance.below(3000))}`;
        case 3:
            return `/images/${encode(chance, chance.text())}/../${encode(chance, chance.text())}`;
        default:
            return `/${encode(chance, chance.text())}`;
    }
}

/** A value that the parameter may well have. */
function fitting(chance: Chance, { name, schema }: Parameter, sources: readonly string[]): string {
    if (URLS.includes(name)) {
        return chance.pick(sources);
    }
    const known = FITTING[name];
    if (known) {
        return chance.pick(known);
    }
    if (Array.isArray(schema?.enum)) {
        return String(chance.pick(schema.enum));
    }
    if (name === 'action') {
        return chance.pick(ALL_ACTIONS);
    }
    if (schema?.type === 'boolean') {
        return chance.pick(['true', 'false']);
    }
    if (schema?.type === 'integer') {
        return String(chance.below(4));
    }
    return schema?.format === 'uuid' ? chance.pick([OWNER, OTHER, STRANGER]) : chance.text();
}

function query(chance: Chance, route: Route, { sources }: TargetContext): string {
    const parts: string[] = [];
    const action = chance.pick(route.actions ?? ['']);
    if (action !== '') {
        parts.push(`action=${action}`);
    }
    const value = (parameter: Parameter): string =>
        encode(chance, chance.onceIn(3) ? chance.text() : fitting(chance, parameter, sources));
    for (const parameter of route.parameters) {
        const isNeeded = parameter.required === true || parameter.name === 'compression';
        if (isNeeded && !chance.onceIn(6)) {
            parts.push(`${parameter.name}=${encode(chance, fitting(chance, parameter, sources))}`);
        }
    }
    for (let count = chance.onceIn(2) ? chance.below(4) : 0; count > 0; count--) {
        const parameter = chance.pick(
            chance.onceIn(3) || route.parameters.length === 0 ? ALL_PARAMETERS : route.parameters,
        );
        const name = parameter.name.replace('KEY', () =>
            chance.onceIn(2) ? 'role' : encode(chance, chance.text()),
        );
        switch (chance.below(8)) {
            case 0:
                parts.push(`${name}=${value(parameter)}&${name}=${value(parameter)}`);
                break;
            case 1:
                parts.push(`${name}[a][b]=${value(parameter)}&${name}[]=1`);
                break;
            case 2:
                parts.push(encode(chance, chance.text()));
                break;
            case 3:
                parts.push(name);
                break;
            default:
                parts.push(`${name}=${value(parameter)}`);
        }
    }
    if (chance.onceIn(60)) {
        parts.push('a=1&'.repeat(3000));
    }
    const search = parts.map((part) => part.replaceAll(' ', '+')).join('&');
    return search === '' ? '' : `?${search}`;
}
