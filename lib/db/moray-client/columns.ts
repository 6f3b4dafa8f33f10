/** The types of index columns, and the values of fields in them (moray.md §1.2, §2.1, §2.4). */
import { isIP, isIPv4 } from 'node:net';
import { MorayError } from './errors';
import type { IndexType } from './types';

export interface ColumnType {
    /** PostgreSQL's name of the type. */
    readonly pg: string;
    /** The kind of index on it. */
    readonly index: 'BTREE' | 'GIN' | 'GIST';
    /** Of an array: the type of its elements. */
    readonly element?: IndexType;
}

const scalar = (pg: string, index: 'BTREE' | 'GIST' = 'BTREE'): ColumnType => ({ pg, index });
const array = (pg: string, element: IndexType): ColumnType => ({ pg: `${pg}[]`, index: 'GIN', element });

export const COLUMN_TYPES = {
    string: scalar('TEXT'),
    number: scalar('NUMERIC'),
    boolean: scalar('BOOLEAN'),
    uuid: scalar('UUID'),
    ip: scalar('INET'),
    subnet: scalar('CIDR'),
    mac: scalar('MACADDR'),
    date: scalar('TIMESTAMPTZ'),
    numrange: scalar('NUMRANGE', 'GIST'),
    daterange: scalar('TSTZRANGE', 'GIST'),
    '[string]': array('TEXT', 'string'),
    '[number]': array('NUMERIC', 'number'),
    '[boolean]': array('BOOLEAN', 'boolean'),
    '[date]': array('TIMESTAMPTZ', 'date'),
    '[ip]': array('INET', 'ip'),
    '[mac]': array('MACADDR', 'mac'),
    '[subnet]': array('CIDR', 'subnet'),
} as const satisfies Record<IndexType, ColumnType>;

export function isIndexType(type: string): type is IndexType {
    return Object.hasOwn(COLUMN_TYPES, type);
}

export function columnType(type: IndexType): ColumnType {
    return COLUMN_TYPES[type];
}

/** As it is bound to a statement; an array of texts for an array column, which the client quotes. */
export type ColumnValue = string | null | (string | null)[];

const ISO_TIME = /^\d+-\d+-\d+T\d+:\d+:\d+(?:\.\d+)?Z$/;
const UUID = /^[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}$/;
const NUMBER_RANGE = /^[([](-?\d+(?:\.\d+)?)?,(-?\d+(?:\.\d+)?)?[)\]]$/;
const DATE_RANGE = /^([([])([\dT:.Z+-]+)?,([\dT:.Z+-]+)?([)\]])$/;
const MAC = /^([0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}$|^[0-9a-f]{12}$/i;

/** Texts of a type in its one form; they throw for what is not of the type. */
type Normalize = (text: string) => string;

function matching(pattern: RegExp): Normalize {
    return (text) => {
        if (!pattern.test(text)) {
            throw new RangeError();
        }
        return text;
    };
}

function isoTime(text: string): string {
    // toISOString throws a RangeError for what is no time.
    return new Date(matching(ISO_TIME)(text)).toISOString();
}

const NORMALIZE: Readonly<Record<string, Normalize>> = {
    string: (text) => text,
    number: (text) => {
        const number = Number.parseFloat(text);
        if (!Number.isFinite(number)) {
            throw new RangeError();
        }
        return String(number);
    },
    boolean: (text) => matching(/^(true|false)$/i)(text).toLowerCase(),
    uuid: matching(UUID),
    date: isoTime,
    numrange: matching(NUMBER_RANGE),
    daterange: (text) => {
        const [, open = '', from, to, close = ''] = DATE_RANGE.exec(matching(DATE_RANGE)(text)) ?? [];
        return `${open}${from ? isoTime(from) : ''},${to ? isoTime(to) : ''}${close}`;
    },
    ip: (text) => {
        if (isIP(text) === 0 || text.includes('%')) {
            throw new RangeError();
        }
        return text;
    },
    subnet: (text) => {
        const [address = '', bits = '', ...more] = text.split('/');
        if (isIP(address) === 0 || address.includes('%') || !/^\d{1,3}$/.test(bits) || more.length > 0) {
            throw new RangeError();
        }
        if (Number(bits) > (isIPv4(address) ? 32 : 128)) {
            throw new RangeError();
        }
        return text;
    },
    mac: (text) => {
        const parts = matching(MAC)(text).toLowerCase().split(/[:-]/);
        return parts.map((part) => part.padStart(2, '0')).join(':');
    },
};

const SURROGATE = /\p{Surrogate}/gu;

/** The text as UTF-8 has it: halves of surrogate pairs cannot be encoded and become U+FFFD. */
export function wellFormed(text: string): string {
    return text.replace(SURROGATE, '\ufffd');
}

/**
 * The text of a value as the column type has it. Numbers, booleans and whatever else JSON has are spelled as
 * JavaScript does (moray.md §2.4).
 *
 * @throws RangeError if it is not of that type; TypeError if it has no text
 */
export function scalarText(type: IndexType, value: unknown): string {
    const text = wellFormed(String(value));
    if (text.includes('\0')) {
        throw new RangeError('PostgreSQL cannot store the character U+0000');
    }
    const normalize = NORMALIZE[type];
    if (!normalize) {
        throw new RangeError();
    }
    return normalize(text);
}

/**
 * A field's value as it is written to its column: null for JSON's null; a scalar for an array column is its one element.
 *
 * @throws MorayError InvalidIndexTypeError
 */
export function toColumn(field: string, type: IndexType, value: unknown): ColumnValue {
    const { element } = columnType(type);
    const text = (scalarType: IndexType, one: unknown): string | null =>
        one === null ? null : scalarText(scalarType, one);
    try {
        if (!element || value === null) {
            return text(type, value);
        }
        return Array.isArray(value)
            ? value.map((one: unknown) => text(element, one))
            : [text(element, value)];
    } catch (error) {
        const reason = error instanceof RangeError && error.message ? `: ${error.message}` : '';
        throw new MorayError(
            'InvalidIndexTypeError',
            `index "${field}" is of type ${type}, which ${excerpt(value)} is not${reason}`,
            { cause: error, attribute: field },
        );
    }
}

function excerpt(value: unknown): string {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) {
        return `a ${typeof value}`;
    }
    return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** What JSON has for the content of a column, as it was read. */
export function fromColumn(type: IndexType, content: unknown): unknown {
    const { element } = columnType(type);
    if (element && Array.isArray(content)) {
        return content.map((one: unknown) => (one === null ? null : fromScalar(element, one)));
    }
    return fromScalar(type, content);
}

function fromScalar(type: IndexType, content: unknown): unknown {
    switch (type) {
        case 'number':
            return Number(content);
        case 'boolean':
            return content === true || content === 't' || content === 'true';
        case 'date':
            return fromTime(content);
        case 'daterange':
            return String(content).replace(/"([^"]*)"/g, (_, time: string) => fromTime(time));
        default:
            return String(content);
    }
}

/** `infinity` stays as it is. */
function fromTime(content: unknown): string {
    const time = content instanceof Date ? content : new Date(String(content));
    return Number.isNaN(time.getTime()) ? String(content) : time.toISOString();
}
