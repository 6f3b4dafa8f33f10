/** The steps that run before a handler, in the order its row of the route table gives (endpoints.md §2). */
import type { ChannelConfig } from '../config/types';
import { ApiError, validationFailed } from '../errors';
import { canRead } from '../images/access';
import type { Image } from '../images/image';
import { show } from '../images/json';
import { isUuid } from '../manifest';
import type { Call } from './call';
import { evaluateConditions } from './conditional';
import type { Parameter, Step } from './route';

export function authenticate(call: Call): void | Promise<void> {
    const { auth } = call.services;
    if (auth.type === 'none' || (call.route.auth === 'passive' && call.headers.authorization === undefined)) {
        return undefined;
    }
    return auth.authenticate(call, call.route.auth === 'strict').then((authentication) => {
        call.state.principal = authentication?.principal;
        call.state.signedDigest = authentication?.digest;
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

/** The channel to work in: the one asked for, or the default one. */
export function channel(call: Call): void {
    call.state.channel = configuredChannel(call, false);
}

/** As {@link channel}, with `*` for all of them. */
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
    if (!image) {
        throw new ApiError('ResourceNotFound', `Image ${call.uuid} does not exist.`);
    }
    if (!image.valid) {
        call.log.warn(
            { image_uuid: call.uuid },
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

/** The image that {@link loadImage} found. */
export function loadedImage(call: Call): Image {
    if (!call.state.image) {
        throw new TypeError(`Route ${call.route.name} uses the image without the step that loads it.`);
    }
    return call.state.image;
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
    if (wanted && call.services.config.mode !== 'dc' && !call.state.principal) {
        throw new ApiError('UnauthorizedError', 'Parameter "inclAdminFields" needs a signed request.');
    }
    call.state.adminFields = wanted;
}

/** The conditions in the request's headers, judged against the manifest; for routes that change an image. */
export function conditions(call: Call): void {
    evaluateConditions(call.method, call.headers, { etags: loadedImage(call).etags(call.version2) });
}
