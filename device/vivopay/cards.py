"""What the simulated reader's cards answer: two published taps, and a way to make any number of others from them.

The plain one is a card whose number its publisher overwrote, the encrypted one is masked by a reader; the data begins
with the attribution byte. What is encrypted here was encrypted by somebody else's key: nothing can read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from device.tlv import Form, Tlv, decode, encode

PLAIN_VISA = bytes.fromhex(
    "01DFEE260201009F3901079F100706011A2380400457134999999999999999D15092FFFFFFFFFFFFFF0F820220009F3602028F9F2608"
    "FFFFFFFFFFFFFFFF9F6C0210009F02060000000002505F2A0208409A032607019C0100FFEE0104DF300100"
)
ENCRYPTED_MASTERCARD = bytes.fromhex(
    "E1"
    "DF8116161B000000000000000000000000000000000000000000DF81290830F0F000B0F0FF00DFEC1C1E08030003FF001B00000000FF00"
    "000000000000000000000000000000FF00DFEE120AFFFFFF0200223D20000FDFEE2602E100DFEE4C0103DFEF4C06000000000000DFEF4D"
    "00FF81058201804F07A0000000041010500A4D61737465724361726457A1125413CCCCCCCC1513D2012CCCCCCCCCCCCCCC57C118855A31"
    "E91D0641D4C0C681A30FD97A86FC1AF00891BC83525AA1085413CCCCCCCC15135AC110CCA41680B767BA798E9AA28A3D825FA45F240320"
    "12315F25030601015F280200565F340100820259808407A00000000410108E0A00000000000000001F038F01F3950504400000019A0324"
    "12239B0200009C01009F01009F02060000000001009F03060000000000009F0607A00000000410109F0702FF009F090200029F0D05F840"
    "6420009F0E0500108800009F0F05F86064F8009F10120110A000002C0800000000000000037501FF9F150211119F16009F1A0208409F1C"
    "009F1D086CFF0000000000009F1E0839543139303432389F21030637239F2608E120C07356EA3DD89F2701809F2A01029F33030008089F"
    "34031F03029F3501229F360236C39F3704CF5F09A29F3901079F400500000000009F4104000000159F4E009F5301009F6D020001DFEE76"
    "050440000001FF81061EDF8115060000000000FF9F42020978DF810B0100DF810E0100DF810F0100FFEE0105DFEE300100"
)


def varied(data: bytes, values: Mapping[tuple[int, Form] | int, bytes]) -> bytes:
    """The data of another tap: these values in place of those with that tag, in that form if one is named, else plain.

    What is not there is added at the end.
    """
    wanted = {(key, Form.PLAIN) if isinstance(key, int) else key: value for key, value in values.items()}
    there: set[tuple[int, Form]] = set()

    def replaced(items: tuple[Tlv, ...]) -> list[Tlv]:
        made = []
        for item in items:
            there.add((item.tag, item.form))
            if item.children is not None:
                children = replaced(item.children)
                made.append(Tlv(item.tag, encode(children, vendor_lengths=True), tuple(children)))
            else:
                made.append(Tlv(item.tag, wanted.get((item.tag, item.form), item.value), None, item.form))
        return made

    items = replaced(decode(data[1:], vendor_lengths=True))
    items += [Tlv(tag, value, None, form) for (tag, form), value in wanted.items() if (tag, form) not in there]
    return data[:1] + encode(items, vendor_lengths=True)
