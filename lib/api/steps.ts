/** The steps that run before a handler, in the order its row of the route table gives (endpoints.md §2). */
import type { ChannelConfig } from '../config/types';
import { ApiError, validationFailed } from '../errors';
import { canRead } from '../images/access';
import type { Image } from '../images/image';
import { show } from '../images/json';
import { isUuid } from '../manifest';
import {
    assertInAllChannels,
    assertInChannel,
    assertRole,
    isHidden,
    seesAdminFields,
    strongerOf,
} from './authorize';
import type { Call } from './call';
import { evaluateConditions } from './conditional';
import type { Parameter, Step } from './route';

/** Finds out who asks, as the row wants it (auth.md §1), and whether that one may. */
export function authenticate(call: Call): void | Promise<void> {
    const { auth } = call.services;
    const { auth: wanted } = call.route;
    if (auth.type === 'none' || wanted === 'none') {
        return undefined;
    }
    const { certificate } = call;
    const certified = certificate && auth.certified(certificate);
    if (call.headers.authorization === undefined) {
        // To read, any certificate will do, also where a signature would have to be one of a known user.
        const suffices = certified !== undefined || (certificate !== undefined && call.route.read === true);
        if (wanted === 'passive' || suffices) {
            call.state.principal = certified;
            if (certified) {
                assertRole(call, certified);
            }
            return undefined;
        }
    }
    if (call.repeats('authorization')) {
        // Something on the way may have judged another one than this server would.
        throw new ApiError('UnauthorizedError', 'The request has an Authorization header more than once.');
    }
    return auth.authenticate(call, wanted === 'strict').then((authentication) => {
        const principal = strongerOf(authentication?.principal, certified);
        call.state.principal = principal;
        call.state.signedDigest = authentication?.digest;
        if (principal) {
            assertRole(call, principal);
        }
    });
}

/** The uuid of the path must be one. */
export function imageUuid(call: Call): void {
    if (!isUuid(call.uuid)) {
        throw new ApiError('ResourceNotFound', `${call.url} does not exist.`);
    }
}

/** None of these parameters may be repeated or nested. */
export function plainParameters(parameters: readonly Parameter[]): Step {
    return (call) => {
        if (call.search !== '') {
            call.query.assertPlain(parameters);
        }
    };
}

function configuredChannel(call: Call, anyAllowed: boolean): string | undefined {
    const { channels } = call.services.config;
    if (!channels) {
        return undefined;
    }
    const asked = call.query.nonEmpty('channel');
    const name = asked ?? channels.find((channel) => channel.default === true)?.name;
    if (name === undefined) {
        throw validationFailed(
            'Parameter "channel" is missing, and this server has no default channel.',
            'channel',
            'MissingParameter',
        );
    }
    if (!(anyAllowed && name === '*') && !channels.some((channel) => channel.name === name)) {
        throw unknownChannel('Parameter "channel"', name, channels);
    }
    return name;
}

/** 422 about a channel that is not configured; `what` says where it was given. */
export function unknownChannel(what: string, given: unknown, channels: readonly ChannelConfig[]): ApiError {
    const known = channels.map(({ name }) => name).join(', ');
    const found = given === undefined ? 'missing' : show(given);
    return validationFailed(`${what} is ${found}; it takes one of the channels ${known}.`, 'channel');
}

/** The channel to change images in: the one asked for, or the default one. */
export function channel(call: Call): void {
    const name = configuredChannel(call, false);
    if (name !== undefined) {
        assertInChannel(call, name);
    }
    call.state.channel = name;
}

/** The channel to read in: the one asked for, or the default one, or `*` for all of them. */
export function channelOrAny(call: Call): void {
    call.state.channel = configuredChannel(call, true);
}

/** Reads the JSON body; once, also where the steps are run again on a newer version of the image. */
export async function readBody(call: Call): Promise<void> {
    if (!('body' in call.state)) {
        call.state.body = await call.readBody();
    }
}

/** Refuses requests that are made for an account. @throws ApiError OperatorOnly */
export function operatorOnly(call: Call): void {
    if (call.query.one('account') !== undefined) {
        throw new ApiError(
            'OperatorOnly',
            'Only an operator may do this; the parameter "account" says that the request is made for somebody else.',
        );
    }
}

/** The account the request is made for; undefined for an operator. @throws ApiError InvalidParameter */
export function account(call: Call): string | undefined {
    return call.query.uuid('account');
}

/** The image of the path, if it is there for this caller. */
export function loadImage(call: Call): void | Promise<void> {
    const caller = account(call);
    const { images } = call.services;
    const known = images.peek(call.uuid);
    if (!known) {
        return images.get(call.uuid).then((image) => takeImage(call, image, caller));
    }
    takeImage(call, known, caller);
    return undefined;
}

function takeImage(call: Call, image: Image | undefined, caller: string | undefined): void {
    if (!image || isHidden(call, image)) {
        throw noImage(call.uuid);
    }
    if (!image.valid) {
        call.log.warn(
            { image_uuid: call.uuid, faults: image.faults },
            'the stored image breaks the rules of this server and is not shown',
        );
        throw new ApiError('ResourceNotFound', `Image ${call.uuid} is not available on this server.`);
    }
    const { channel: wanted } = call.state;
    const inChannel = wanted === undefined || wanted === '*' || image.raw.channels?.includes(wanted) === true;
    if (!inChannel || !canRead(image.raw, caller)) {
        throw new ApiError('ResourceNotFound', `Image ${call.uuid} is not available to this request.`);
    }
    call.state.image = image;
}

/** What is said of an image that is not there, and of one that nobody in particular is to know of. */
function noImage(uuid: string): ApiError {
    return new ApiError('ResourceNotFound', `Image ${uuid} does not exist.`);
}

/** The image that {@link loadImage} found. */
export function loadedImage(call: Call): Image {
    if (!call.state.image) {
        throw new TypeError(`Route ${call.route.name} uses the image without the step that loads it.`);
    }
    return call.state.image;
}

/** The image is to be changed in all of its channels. */
export function changesAllChannels(call: Call): void {
    assertInAllChannels(call, loadedImage(call).raw);
}

/** An account may only work on images of its own. */
export function ownedByAccount(call: Call): void {
    const caller = account(call);
    if (caller !== undefined && caller !== loadedImage(call).raw.owner) {
        throw new ApiError('NotImageOwner', `Account ${caller} is not the owner of image ${call.uuid}.`);
    }
}

/** `inclAdminFields`, which outside a datacenter needs credentials. */
export function adminFields(call: Call): void {
    const wanted = call.query.boolean('inclAdminFields') ?? false;
    if (wanted && !seesAdminFields(call)) {
        const { principal, channel: name } = call.state;
        throw new ApiError(
            'UnauthorizedError',
            principal && name !== undefined
                ? `Parameter "inclAdminFields" needs a user whose role counts in ${name === '*' ? 'all channels' : show(name)}.`
                : 'Parameter "inclAdminFields" needs a signed request.',
        );
    }
    call.state.adminFields = wanted;
}

/** The conditions in the request's headers, judged against the manifest; for routes that change an image. */
export function conditions(call: Call): void {
    evaluateConditions(call.method, call.headers, { etags: loadedImage(call).etags(call.version2) });
}
