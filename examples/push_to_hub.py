"""Put a trained model on the Hugging Face Hub, with tokenizer, code, results and a model card.

    hf auth login                                                        # once, with a token that may write
    python examples/push_to_hub.py outputs/demo me/requests              # private
    python examples/push_to_hub.py outputs/demo me/requests --public --revision v1
    python examples/push_to_hub.py outputs/demo me/requests --merge      # with the weights of base models
    python examples/push_to_hub.py outputs/demo --card card.md                             # only the card, into a file

Anybody who may read the repository loads the model by `AutoModel.from_pretrained("me/requests",
trust_remote_code=True)`, with `revision="v1"` in the state of that tag. The card, README.md, is written anew from what
is in the folder (evaluation.json, report.json, ...), unless it was edited by hand. After an interruption the same
command continues.

`ldebm push` does the same.
"""

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.push import CONTINUES, build_parser, push_or_write_card, read_options


def main(arguments: list[str] | None = None) -> None:
    # 1. Which model, and where to.
    options = read_options(build_parser(__doc__), arguments)

    # 2. The card by `write_card`, from what is in the folder; and everything by `push`, in one commit.
    push_or_write_card(options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
