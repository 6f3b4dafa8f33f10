/** Rules about what an image requires of the machine it runs on (manifest.md §7). */
import type { FieldError } from '../errors';
import { MAX_ENTRY_ERRORS, wrongMembers } from './field-rule';
import { isObject, show, type JsonObject } from './json';

const BOOTROMS = ['bios', 'uefi'];
const BOOTROM_BRAND = 'bhyve';

/** `YYYYMMDDTHHMMSSZ`: where each number stands in a platform version and what it may be. */
const TIMESTAMP_PARTS = [
    { start: 0, end: 4, least: 2012, most: Infinity },
    { start: 4, end: 6, least: 1, most: 12 },
    { start: 6, end: 8, least: 1, most: 31 },
    { start: 9, end: 11, least: 0, most: 23 },
    { start: 11, end: 13, least: 0, most: 59 },
    { start: 13, end: 15, least: 0, most: 59 },
] as const;

type Check = (value: unknown, requirements: JsonObject) => readonly (string | FieldError)[];

/** In the order in which they are checked and reported. A falsy value asks for nothing and is never checked. */
const REQUIREMENTS: readonly { key: string; check: Check }[] = [
    { key: 'networks', check: networks },
    { key: 'brand', check: typed('string') },
    { key: 'ssh_key', check: typed('boolean') },
    { key: 'min_ram', check: wholeNumber },
    { key: 'max_ram', check: maxRam },
    { key: 'min_platform', check: platforms },
    { key: 'max_platform', check: platforms },
    { key: 'bootrom', check: bootrom },
];
const KNOWN = new Set(REQUIREMENTS.map(({ key }) => key));

/** What is wrong with an image's requirements, in the order of the checks, then of the unknown keys. */
export function validateRequirements(value: unknown): FieldError[] {
    if (!isObject(value)) {
        return [invalid('requirements', `The value ${show(value)} is not an object.`)];
    }
    const wrong = REQUIREMENTS.flatMap(({ key, check }) =>
        value[key]
            ? check(value[key], value).map((complaint) =>
                  typeof complaint === 'string' ? invalid(`requirements.${key}`, complaint) : complaint,
              )
            : [],
    );
    const unknown = Object.keys(value).filter((key) => !KNOWN.has(key));
    return [
        ...wrong,
        ...unknown.map((key) =>
            invalid(key, `The requirement ${show(key)} is not known; known are ${[...KNOWN].join(', ')}.`),
        ),
    ];
}

function invalid(field: string, message: string): FieldError {
    return { field, code: 'Invalid', message };
}

function typed(type: 'string' | 'boolean'): Check {
    return (value) => (typeof value === type ? [] : [`The value ${show(value)} is not a ${type}.`]);
}

function networks(value: unknown): string[] {
    if (!Array.isArray(value)) {
        return [`The value ${show(value)} is not an array.`];
    }
    return value
        .filter((entry) => !isObject(entry) || Object.keys(entry).sort().join() !== 'description,name')
        .slice(0, MAX_ENTRY_ERRORS)
        .map((entry) => `The entry ${show(entry)} is not an object with exactly "name" and "description".`);
}

function wholeNumber(value: unknown): string[] {
    return Number.isInteger(value) ? [] : [`The value ${show(value)} is not a whole number of MiB.`];
}

function maxRam(value: unknown, { min_ram: least }: JsonObject): string[] {
    const wrong = wholeNumber(value);
    return wrong.length === 0 && typeof value === 'number' && typeof least === 'number' && least > value
        ? [`The max_ram ${value} is less than the min_ram ${least}.`]
        : wrong;
}

function platforms(value: unknown): string[] {
    if (!isObject(value) || Object.keys(value).length === 0) {
        return [`The value ${show(value)} is not an object from SDC versions to platform versions.`];
    }
    return wrongMembers(value, isPlatformVersion).map(
        ([sdc, platform]) =>
            `The platform version ${show(platform)} for ${show(sdc)} is not of the form 20240131T120000Z.`,
    );
}

function isPlatformVersion(value: unknown): boolean {
    if (typeof value !== 'string' || value.length !== 16 || value[8] !== 'T' || value[15] !== 'Z') {
        return false;
    }
    return TIMESTAMP_PARTS.every(({ start, end, least, most }) => {
        const number = Number(value.slice(start, end));
        // A part that is no number passes: stored images have such versions.
        return !(number < least || number > most);
    });
}

function bootrom(value: unknown, { brand }: JsonObject): (string | FieldError)[] {
    if (!brand) {
        return [
            {
                field: 'requirements.bootrom',
                code: 'MissingParameter',
                message: `A bootrom needs the requirement "brand" to be "${BOOTROM_BRAND}"; there is no brand.`,
            },
        ];
    }
    if (brand !== BOOTROM_BRAND) {
        return [`A bootrom needs the requirement "brand" to be "${BOOTROM_BRAND}"; it is ${show(brand)}.`];
    }
    return typeof value === 'string' && BOOTROMS.includes(value)
        ? []
        : [`The bootrom ${show(value)} is not one of ${BOOTROMS.join(', ')}.`];
}
