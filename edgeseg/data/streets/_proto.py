"""Feasibility prototype: 2.5D procedural street scenes in numpy+PIL. Paint back-to-front into RGB and label with the SAME polygon calls."""
import numpy as np, time, sys
from PIL import Image, ImageDraw, ImageFilter
SKY,BLD,POLE,ROAD,PAV,TREE,SIGN,FENCE,CAR,PED,BIKE,VOID=range(12)
NAMES='Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist Void'.split()
def smooth_noise(r,h,w,cells,octaves=3):
    o=np.zeros((h,w),np.float32);a=1.
    for k in range(octaves):
        c=cells*2**k; g=r.random((max(2,int(c*h/w)+2),c+2)).astype(np.float32)
        o+=a*np.asarray(Image.fromarray(g,mode='F').resize((w,h),Image.BICUBIC)); a*=.5
    return o-o.mean()
class Scene:
    def __init__(s,seed,H=360,W=480):
        r=s.r=np.random.default_rng(seed); s.H,s.W=H,W
        s.hor=H*r.uniform(.36,.5); s.f=W*r.uniform(.9,1.4); s.cam=r.uniform(1.2,1.9); s.vx=W*r.uniform(.38,.62)
        s.img=Image.new('RGB',(W,H)); s.lab=Image.new('L',(W,H),VOID); s.d=ImageDraw.Draw(s.img); s.l=ImageDraw.Draw(s.lab)
        s.light=r.uniform(.55,1.15); s.fogc=np.array(r.uniform(150,225,3)); s.fog=r.uniform(0.002,.03)
    def P(s,X,Y,Z): # X right, Y up from ground, Z depth
        return (s.vx+s.f*X/Z, s.hor+s.f*(s.cam-Y)/Z)
    def col(s,c,Z=1.,j=10):
        c=(np.asarray(c,float)+s.r.normal(0,j,3))*s.light; k=np.exp(-s.fog*Z); return tuple(int(v) for v in np.clip(c*k+s.fogc*(1-k),0,255))
    def poly(s,pts,c,lab): 
        s.d.polygon(pts,fill=c)
        if lab is not None: s.l.polygon(pts,fill=lab)
    def quad(s,x0,x1,y0,y1,Z,c,lab,tilt=0): s.poly([s.P(x0,y0,Z),s.P(x1,y0,Z),s.P(x1+tilt,y1,Z),s.P(x0+tilt,y1,Z)],c,lab)
    def ell(s,X,Y,Z,rx,ry,c,lab):
        a=s.P(X-rx,Y+ry,Z);b=s.P(X+rx,Y-ry,Z); s.d.ellipse([*a,*b],fill=c)
        if lab is not None: s.l.ellipse([*a,*b],fill=lab)
    def build(s):
        r,H,W=s.r,s.H,s.W
        top=np.array(r.uniform([60,90,140],[170,200,250])); bot=np.array(r.uniform(170,250,3))
        g=np.linspace(0,1,H)[:,None,None]; s.img.paste(Image.fromarray(np.uint8(np.clip((top*(1-g)+bot*g)*np.ones((1,W,1)),0,255)))); s.lab.paste(SKY,[0,0,W,H])
        hw=r.uniform(3,6); sw=[r.uniform(1.2,3.5),r.uniform(1.2,3.5)]; ch=.15; zf,zn=140.,1.2
        base=[-(hw+sw[0]),hw+sw[1]]
        # ground
        s.poly([s.P(-400,0,zf),s.P(400,0,zf),(W*3,H*2),(-W*2,H*2)],s.col((95,105,80),30),TREE if r.random()<.4 else PAV)
        for side,sgn in ((0,-1),(1,1)):
            s.poly([s.P(sgn*hw,ch,zf),s.P(sgn*(hw+sw[side]),ch,zf),s.P(sgn*(hw+sw[side]),ch,zn),s.P(sgn*hw,ch,zn)],s.col((128,120,115),15),PAV)
        s.poly([s.P(-hw,0,zf),s.P(hw,0,zf),s.P(hw,0,zn),s.P(-hw,0,zn)],s.col((92,92,96),15,5),ROAD)
        for z in np.arange(2,60,4.): # lane marks (label stays road: a colour distractor)
            s.poly([s.P(-.08,0,z),s.P(.08,0,z),s.P(.08,0,z+1.8),s.P(-.08,0,z+1.8)],s.col((215,215,205),z),None)
        items=[]
        for side,sgn in ((0,-1),(1,1)):
            z=r.uniform(3,8); x=sgn*(hw+sw[side])
            while z<110:
                dz=r.uniform(6,20); k=r.random()
                if k<.68: items.append((z+dz,'bld',x,sgn,z,dz))
                elif k<.86: items.append((z+dz/2,'tree',x+sgn*r.uniform(0,4),sgn,z,dz))
                if r.random()<.35: items.append((z+dz,'fence',sgn*(hw+sw[side]-.2),sgn,z,dz))
                z+=dz+(r.uniform(0,6) if r.random()<.4 else 0)
            for _ in range(r.integers(3,9)): items.append((r.uniform(5,60),'pole',sgn*(hw+.3),sgn,0,0))
            for _ in range(r.integers(0,4)): items.append((r.uniform(6,45),'sign',sgn*(hw+.4),sgn,0,0))
            for _ in range(r.integers(1,6)): items.append((r.uniform(6,50),'ped',sgn*r.uniform(hw+.4,hw+sw[side]),sgn,0,0))
            for _ in range(r.integers(0,3)): items.append((r.uniform(6,45),'tree',sgn*(hw+sw[side]*.8),sgn,0,0))
            for _ in range(r.integers(1,5)): items.append((r.uniform(6,60),'car',sgn*(hw-1.1),sgn,0,0))
        for _ in range(r.integers(0,4)): items.append((r.uniform(9,70),'car',r.uniform(-hw+1,hw-1),1,0,0))
        if r.random()<.6:
            for _ in range(r.integers(1,4)): items.append((r.uniform(5,35),'bike',r.uniform(-hw+.6,hw-.6),1,0,0))
        if r.random()<.4: items.append((r.uniform(8,40),'ped',r.uniform(-hw,hw),1,0,0))
        for it in sorted(items,key=lambda t:-t[0]): getattr(s,it[1])(*it[2:],Z=it[0])
        return s.finish()
    def bld(s,x,sgn,z,dz,Z):
        r=s.r;h=r.uniform(5,22);c=np.array(r.choice([[150,95,80],[175,160,140],[120,120,130],[200,190,170],[90,80,75]]))
        za,zb=max(z,1.3),z+dz; col=s.col(c,z)
        s.poly([s.P(x,0,zb),s.P(x+sgn*30,0,zb),s.P(x+sgn*30,h,zb),s.P(x,h,zb)],s.col(c*.8,zb),BLD)
        s.poly([s.P(x,0,za),s.P(x,0,zb),s.P(x,h,zb),s.P(x,h,za)],col,BLD)
        if z<70:
            wc=s.col((60,70,85),z)
            ny=max(1,int(h/3)); nz=max(1,int(dz/2.5))
            for i in range(ny):
                for j in range(nz):
                    a=za+(j+.25)*(zb-za)/nz;b=za+(j+.75)*(zb-za)/nz;y=(i+.35)*h/ny;yy=(i+.8)*h/ny
                    s.poly([s.P(x,y,a),s.P(x,y,b),s.P(x,yy,b),s.P(x,yy,a)],wc,None)
    def tree(s,x,sgn,z,dz,Z):
        r=s.r;h=r.uniform(3,8);R=r.uniform(1.,2.6); s.quad(x-.15,x+.15,0,h,Z,s.col((80,60,45),Z),TREE)
        g=np.array([r.uniform(40,90),r.uniform(80,130),r.uniform(30,70)])
        for _ in range(10): s.ell(x+r.normal(0,R*.5),h+r.normal(0,R*.5),Z,R*r.uniform(.4,.7),R*r.uniform(.4,.7),s.col(g,Z,14),TREE)
    def fence(s,x,sgn,z,dz,Z):
        z=max(z,1.5);c=s.col((110,105,100),z); n=int(min(40,dz*3))
        for y in (.2,.6,1.1): s.poly([s.P(x,y,z),s.P(x,y,z+dz),s.P(x,y+.07,z+dz),s.P(x,y+.07,z)],c,FENCE)
        s.l.polygon([s.P(x,.1,z),s.P(x,.1,z+dz),s.P(x,1.2,z+dz),s.P(x,1.2,z)],fill=FENCE)
        for zz in np.linspace(z,z+dz,n): s.d.line([s.P(x,.1,zz),s.P(x,1.2,zz)],fill=c,width=max(1,int(s.f*.05/zz)))
    def pole(s,x,sgn,z,dz,Z):
        h=s.r.uniform(3,8); s.quad(x-.08,x+.08,0,h,Z,s.col((85,85,88),Z),POLE)
    def sign(s,x,sgn,z,dz,Z):
        s.quad(x-.05,x+.05,0,2.6,Z,s.col((120,120,120),Z),POLE); c=s.r.choice([[200,30,30],[30,60,190],[230,200,40],[40,140,60]])
        if s.r.random()<.5: s.ell(x,2.6,Z,.45,.45,s.col(c,Z),SIGN)
        else: s.quad(x-.45,x+.45,2.1,3.1,Z,s.col(c,Z),SIGN)
    def car(s,x,sgn,z,dz,Z):
        r=s.r;w=r.uniform(.8,1.);h=r.uniform(1.35,2.2);c=np.array(r.choice([[180,30,30],[30,40,140],[200,200,205],[40,40,45],[150,150,155],[30,90,60]]))
        s.d.ellipse([*s.P(x-w*1.15,.12,Z),*s.P(x+w*1.15,-.25,Z)],fill=s.col((45,45,48),Z,3))
        s.quad(x-w,x+w,.3,h*.62,Z,s.col(c,Z),CAR); s.poly([s.P(x-w*.95,h*.6,Z),s.P(x+w*.95,h*.6,Z),s.P(x+w*.7,h,Z),s.P(x-w*.7,h,Z)],s.col(c*.9,Z),CAR)
        s.poly([s.P(x-w*.8,h*.64,Z),s.P(x+w*.8,h*.64,Z),s.P(x+w*.62,h*.95,Z),s.P(x-w*.62,h*.95,Z)],s.col((50,60,75),Z),None)
        for q in (-1,1): s.ell(x+q*w*.75,.3,Z,.2,.3,s.col((25,25,25),Z),CAR); s.ell(x+q*w*.75,h*.5,Z,.13,.1,s.col((230,60,50),Z),None)
    def ped(s,x,sgn,z,dz,Z,bike=False):
        r=s.r;h=r.uniform(1.5,1.9);lab=BIKE if bike else PED; y0=.35 if bike else 0
        c=r.uniform(20,220,3); p=r.uniform(20,120,3)
        for q in (-.09,.09): s.quad(x+q-.07,x+q+.07,y0,h*.5,Z,s.col(p,Z),lab,tilt=r.uniform(-.15,.15))
        s.quad(x-.22,x+.22,h*.45,h*.85,Z,s.col(c,Z),lab); s.ell(x,h*.93,Z,.12,.15,s.col((190,150,125),Z),lab)
    def bike(s,x,sgn,z,dz,Z):
        o=s.r.choice([-.45,.45]) if s.r.random()<.5 else .05
        for q in (-o,o):
            a=s.P(x+q-.33,.66,Z);b=s.P(x+q+.33,0,Z); s.d.ellipse([*a,*b],outline=s.col((30,30,30),Z),width=max(1,int(s.f*.05/Z))); s.l.ellipse([*a,*b],fill=BIKE)
        s.ped(x,sgn,z,dz,Z,True)
    def finish(s):
        r,H,W=s.r,s.H,s.W
        a=np.asarray(s.img,np.float32); lab=np.asarray(s.lab)
        tex=smooth_noise(r,H,W,8,4)*22; a=a+tex[...,None]+r.normal(0,1,(H,W,1)).astype(np.float32)*8
        if r.random()<.5: # cast shadows: long soft dark bands on the whole scene
            m=(smooth_noise(r,H,W,3,2)>.12).astype(np.float32); m=np.asarray(Image.fromarray(m,mode='F').resize((W//4,H//4)).resize((W,H),Image.BILINEAR)); a*=1-.45*m[...,None]*(lab!=SKY)[...,None]
        im=Image.fromarray(np.uint8(np.clip(a*r.uniform(.85,1.15,3),0,255))).filter(ImageFilter.GaussianBlur(r.uniform(0.2,1.0)))
        a=np.asarray(im,np.float32)+r.normal(0,r.uniform(1,6),(H,W,3))
        return np.uint8(np.clip(a,0,255)),lab
