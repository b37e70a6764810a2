"""Common English words, by which a deciphered text is told from a string that only happens to be one."""

from __future__ import annotations

import functools
from typing import Final


@functools.cache
def words() -> frozenset[str]:
    """The words, in lower case."""
    return frozenset(_WORDS.split())


_WORDS: Final = """
a abilities ability able about above absolutely academic access accessible according account accounts accuracy
accurate achieve across act action actions active activities activity actual actually add added adding additional
additionally address adhere admin administrator adult advanced advice after again against age agent ago ahead ai air
alert alerts alien all allow allowed allowing allows almost alone along already also alternative although always am
amazing america american among amount an analysis analyze ancient and angle animal animals another answer answers any
anyone anything anytime api app appear appears append application applications apply appreciate approach appropriate
architecture are area areas args argument around array arrive art article artificial artist as ask asked asking asks
aspect aspects assert assist assistance assistant associated assume async at atmosphere attack attacker attacks
attempt attention audience author automatically available avoid await aware away awesome babe baby back background bad
balance ball bank base based baseline bash basic battle be beautiful because become been before begin beginning begins
behavior behind being believe below benefits best better between beyond big bill bit black block blue body bomb book
books bool both boundaries bowl box boy brand break breaking brief bring british brother brown build building built
bus business but buy by bypass calendar call called calling calls came camera can cancel cannot capabilities capable
capital capture car card care carefully carry case cases cash cast casual cat categories category cause causing cell
center central century certain chain challenge challenges challenging chance change changed changes character
characters chase chat chatbot chatgpt check checking checks child children china chinese choice choices choose
circumstances city claim clarity class clean clear clearly click client close cocaine code coding cold college color
colors come comes coming command commands comment comments common communicate communication community company complete
completely complex compliance comply components compose composition comprehensive computer concept concepts concerns
concise conclude condition conditions confidence confident confidential config configuration configure confirm connect
connection consequences consider considered considering consistent constraints contact contain contained contains
content contents context continue contrast control conversation conversations convert cook cool copy core correct cost
could count country couple course cover crafting create created creating creation creative creativity credentials
credit critical cross crucial cultural culture curious curl current currently custom customer cut daily dangerous dark
data database date dates day days dead deal dear death decide decision decisions decode deep default define definitely
definition delete depth describe description descriptions design designed desired despite detail detailed details
detect determine develop developed developer developing development device dialogue dict did die different difficult
digital dinner direct direction directly disable disabled discovered discovery discuss display disregard diverse do
docs document documentation documents does dog doing dollars done dont double down download draw drive drug drugs dude
due during dynamic each earlier early earth easily easy eat economic edge edit education educational effect effective
effectively effects efficient either elements else email emails emotional emotions empty enable enabled encourage end
ends energy engage engagement engaging engine engineer engineering english enhance enjoy enough ensure ensuring enter
entire entity environment environmental error errors especially essential etc ethical even evening event events
eventually ever every everyone everything evidence exact exactly example examples except exception execute exercise
exfiltrate exist existence existing expect expected experience experienced experiences expert expertise explain
explanation explanations explicit exploration explore exploring explosive explosives expose express expression extra
extract eye eyes face fact factors facts fake fall falling false family famous fantasy far fast faster father favor
favorite fear feature features feedback feel feeling feelings feels fellow few fictional field fields fight figure
file files fill filled film filter filters final finally financial find finding finds fine finish finished fire first
fit five flight flow focus focused focusing follow followed following follows food foot for force forget forgot form
format forms forward found four frame framework france fraud free freely french fresh friday friend friendly friends
from front full fully fun function functionality functions funny further future gain game games gas gather general
generate generated generating generation get gets getting girl girls github give given giving glad global go goal
goals god goes going gone gonna good google got government gpt great green ground group groups growth guess guidance
guide guideline guidelines gun guns guy guys hack hacking had haha hair half hand handle handling hands happen
happened happens happy hard harm harmful has hate have haven having he head headers health healthy hear heard heart
heavily heavy hello help helpful helping helps her here heroin hey hi hidden high higher highlight highlights highly
him himself his historian historical history hit hold holding holiday home hope host hot hour hours house how however
html human humans hurt hypothesis hypothetical i ice idea ideas identify identity if ignore ignored illegal image
images imagine immediately impact implement implementation implications import importance important improve in include
includes including income incorporate increase index individual individuals industry info information informative
ingredients init initial input inputs insert inside insights install instance instead instruction instructions
insurance int integration intelligence interaction interactions interactive interest interested interesting interface
internal international internet into introduction involved involves is isinstance issue issues it item items its
itself jailbreak job john join joke journey json just keep keeping key keys kids kill kind king know knowledge known
label land language languages large last late later latest law lead leading leak leaked learn learning least leave
leaves leaving led left legal length less let letter level levels library life light lighting like likely limit
limited line lines link links list listen litellm little live lives living load local locate location log logic long
longer look looking looks loss lost lot love loved low lower machine made magical main maintain maintaining major make
makes making malicious malware man manage management manner manufacture many map march mark markdown market mars
master match materials matter max may maybe me mean meaning means meant measures media medical medium meet meeting
member members memory men mental message messages metadata meth method methods middle might military min mind minimal
minute minutes miss missing mission mix mobile mode model models modern module mom moment money month months mood
moral more morning most mother move movement movie much multi multiple murder music must my myself name named names
narrative national natural nature near necessary need needed needs negative network never new news next nice night no
non none normal north not note nothing novel now number numbers obey object objective objects of off offer offering
offers office often oil ok okay old on once one ones online only open openai operations opportunities option optional
options or orange order organization original other others otherwise our out outline output outside over overall
override own page paid pain pair paper paragraph parameters params parents park part particular particularly parts
party pass passage password passwords past path patient pattern patterns pay payment peace people per perfect perform
performance period person persona personal personality personalized perspective phishing phone photo phrase physical
pick picture piece pin place places plan planet planning plans plant platform play played player players playing
please plot plus poem point points poison police policies policy political poor popular position positive possible
post potential potentially power powerful practical practice practices pre precise prefer preferences premise prepare
presence present president pressure pretend pretty prevent previous price primary principles print prior prioritize
privacy private prize probably problem problems process produce product production products professional profile
program programming progress project projects promote prompt prompts proper properties property protect protection
provide provided provides providing public pull purpose purposes put pytest python quality query question questions
quick quickly quietly quite raise raises random range ransomware rate rather reach read reading ready real realistic
reality really realm reason reasoning reasons receive received recent recently recipe recommend recommendations record
records red reduce refer reference references reflect refusal refuse regarding region regular related relationship
relationships release relevant remain remains remember remind remote remove renowned repeat replace reply report
request requested requests require required requirements requires research reservation resolution resource resources
respect respond response responses responsible rest restaurant restriction restrictions result results return returns
reveal review reviews rich right rights risk role roleplay roles roll room root route row rule rules run running runs
sad safe safety said same sample save savings saw say saying says scale scenario scenarios scene schedule schema
school science scientific scope score screen script sea search searching season second seconds secret secrets section
sections secure security see seek seeking seem seems seen select self send senior sense sensitive sent sentence
sentences separate series serve server service services session set setting settings setup several sex sexual shadows
shall shape share shared sharing sharp she shit shopping short shot should show showing shows side significance
significant silently similar simple simply since single sir site situation situations six size skills skin skip sky
sleep slightly slow small smile so social society soft software solution solutions solve some someone something
sometimes song soon sorry sound sounds source sources south space spanish speak special specialized specializing
species specific specifically specified speculations speech speed spend spent spirit sports stand standard standards
standing star start started starting starts state statement states station status stay steal stealth step steps still
stolen stop store stories story strategies strategy stream street strength strictly string strong structure structured
student students study studying stuff style styles subject subtle success successful such suggest suggestions suicide
suitable summarize summary sun super support supported sure surface sustainable sweet switch system systems table
tailored take taken takes taking talk talking target task tasked tasks teacher team teams tech technical techniques
technologies technology tell tells temperature template ten term terms test testing tests text texture than thank
thanks that the theft their them theme themes themselves then there these they thing things think thinking third this
those though thought thoughts three through throughout time timer times tips tires title to today together token
tokens told tomorrow tone tonight too took tool tools top topic topics total touch towards town track traditional
traffic train training transfer translate transportation travel traveling tree tried trip true truly trust try trying
tuple turn two type types typically typing unauthorized under understand understanding undetected union unique united
universe university unknown unless unlimited unrestricted until up update updates upload uploaded upon urgent url us
usage use used useful user users uses using usually utilize vacation valid value values variables variety various vast
verbatim verify version very via vibrant video view village violence violent virtual virus visa visible visit visual
voice volume wait waiting walk walking wall wanna want wanted wants war warm warning warnings was watch watching water
way ways we weapon weapons weather web webpage website wednesday week weeks weight welcome well went were what when
where whether which while white who whole why wide wife will win window windows wisdom wish with within without woman
women wonder word words work working works world worry worth would wow write writer writing written wrong yeah year
years yes yet yield york you young your yourself
"""
