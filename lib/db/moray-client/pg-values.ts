/**
 * What the values of PostgreSQL become in JavaScript.
 *
 * Numbers are numbers, as far as those of JavaScript reach; booleans, arrays and times are their likes. All else is
 * text, JSON and uuids included.
 */
import { types, type CustomTypesConfig } from 'pg';

const INT8 = 20;
const INT8_ARRAY = 1016;
const NUMERIC = 1700;
const JSON_TYPES = [114, 3802];
const JSON_ARRAYS = [199, 3807];
const BYTEA = 17;
const TIMESTAMP = 1114;
const TIMESTAMP_ARRAY = 1115;
const TIMESTAMPTZ = 1184;
const TIMESTAMPTZ_ARRAY = 1185;
const TEXT_ARRAY = 1009;
/** Types that the library would make objects of: date, point, circle, interval, and their arrays. */
const TEXT_LIKE = [...JSON_TYPES, 1082, 600, 718, 1186];
const TEXT_LIKE_ARRAYS = [...JSON_ARRAYS, 1182, 1017, 1187];

type Parse = (text: string) => unknown;

type Format = 'text' | 'binary';

const getTypeParser: (type: never, format?: Format) => unknown = types.getTypeParser;
/** The library's own; its declaration knows some of the types only. */
const parserOf = getTypeParser as (type: number, format?: Format) => Parse;
const textArray = parserOf(TEXT_ARRAY) as (text: string) => (string | null)[];
const time = parserOf(TIMESTAMPTZ);

const parsers = new Map<number, Parse>([
    [INT8, int8],
    [INT8_ARRAY, (text) => textArray(text).map((one) => (one === null ? null : int8(one)))],
    [NUMERIC, Number],
    // The session has the time zone UTC; without it in the text, that of this machine would be taken.
    [TIMESTAMP, utc],
    [TIMESTAMP_ARRAY, (text) => textArray(text).map((one) => (one === null ? null : utc(one)))],
    [TIMESTAMPTZ_ARRAY, parserOf(TIMESTAMPTZ_ARRAY)],
    [BYTEA, parserOf(BYTEA)],
    ...TEXT_LIKE.map((type) => [type, String] as const),
    ...TEXT_LIKE_ARRAYS.map((type) => [type, textArray] as const),
]);

/** Ids of rows are whole numbers up to 2^53; what is beyond stays text, rather than to become another number. */
function int8(text: string): number | string {
    const number = Number(text);
    return Number.isSafeInteger(number) ? number : text;
}

function utc(text: string): unknown {
    return time(text.endsWith('infinity') ? text : text.replace(/( BC)?$/, '+00$1'));
}

/** For the connections of one client; others in this process have theirs. */
export const pgValues = {
    getTypeParser: (type: number, format: Format = 'text'): Parse =>
        (format === 'text' ? parsers.get(type) : undefined) ?? parserOf(type, format),
} satisfies CustomTypesConfig;
