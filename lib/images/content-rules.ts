/** Rules about what is in an image and the machines it is made for (manifest.md §2). */
import type { FieldError } from '../errors';
import { COMPRESSIONS, IMAGE_OSES, IMAGE_TYPES, PLACEHOLDER_VALUE } from '../manifest';
import { arrayRule, oneOf, type Rule, type RuleContext } from './field-rule';
import { isObject, show, toNumber } from './json';

const FILE_FIELDS = ['sha1', 'size', 'compression'] as const;
const ICON_FIELDS = ['contentMD5', 'size', 'contentType'] as const;

/** One of the words, or the placeholder's "null" while the image is being made or has failed to be. */
function knownOnceMade(words: readonly string[]): Rule {
    const rule = oneOf(words);
    return (value, context) => {
        if (value !== PLACEHOLDER_VALUE) {
            return rule(value, context);
        }
        return context.state === 'creating' || context.state === 'failed'
            ? []
            : [
                  `The value "null" is for images in state creating or failed; give one of ${words.join(', ')}.`,
              ];
    };
}

export const typeRule = knownOnceMade(IMAGE_TYPES);
export const osRule = knownOnceMade(IMAGE_OSES);

/** One complaint a file: about the first thing that is wrong with it. */
export const filesRule: Rule = (value, { type }) => {
    if (!Array.isArray(value)) {
        return [`The value ${show(value)} is not an array.`];
    }
    const most = type === 'lxd' ? 2 : 1;
    if (value.length > most) {
        return [`There are ${value.length} files; an image of type ${show(type)} has at most ${most}.`];
    }
    return value.flatMap((file: unknown, index) => {
        const missing = FILE_FIELDS.find((field) => !isObject(file) || !file[field]);
        if (missing) {
            return [`File ${index} has no "${missing}".`];
        }
        const compression = isObject(file) ? file.compression : undefined;
        return COMPRESSIONS.some((known) => known === compression)
            ? []
            : [
                  `File ${index} has compression ${show(compression)}, which is not one of ${COMPRESSIONS.join(', ')}.`,
              ];
    });
};

/** The complaint about a stored icon, if there is one: the first thing it lacks. */
export function iconError(icon: unknown): FieldError | undefined {
    if (!icon) {
        return undefined;
    }
    const missing = ICON_FIELDS.find((field) => !isObject(icon) || !icon[field]);
    return missing && { field: 'icon', code: 'Invalid', message: `The stored icon has no "${missing}".` };
}

export const usersRule = arrayRule(
    (entry) => isObject(entry) && Object.keys(entry).join() === 'name',
    'an object with "name" and nothing else',
);

const directories = arrayRule((entry) => typeof entry === 'string', 'a string');

export const inheritedDirectoriesRule: Rule = (value, context) =>
    context.type === 'zone-dataset'
        ? directories(value, context)
        : [
              `The value is ${show(value)}, but only images of type zone-dataset can have inherited directories.`,
          ];

/** A field of disk images: for other types it may only be falsy. */
function zvolOnly(rule: Rule): Rule {
    return (value, context) => {
        if (isZvol(context)) {
            return rule(value, context);
        }
        return value
            ? [
                  `The value is ${show(value)}, but only images of type zvol have this field, not ${show(context.type)}.`,
              ]
            : [];
    };
}

export function isZvol({ type }: RuleContext): boolean {
    return type === 'zvol';
}

export const driverRule = zvolOnly((value) =>
    typeof value === 'string' ? [] : [`The value ${show(value)} is not a string.`],
);

/** MiB. Zero and below pass, as stored records may have them. */
export const imageSizeRule = zvolOnly((value) =>
    Number.isInteger(toNumber(value)) ? [] : [`The size ${show(value)} is not a whole number of MiB.`],
);
